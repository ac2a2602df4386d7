"""What a program used, its own children included.

The program is started by a small process of its own (``python tests/scale/processes.py``): Linux
counts the memory of the process that starts another one as the other's.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Used:
    """Wall-clock and processor seconds; the memory of the largest of all processes, in MiB."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def run_module(module: str, *arguments: str | Path, folder: Path = ROOT) -> Used:
    """Run a module in a new process, in this checkout or a copy of it, and tell what it used.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    command = [sys.executable, __file__, sys.executable, "-m", module, *map(str, arguments)]
    said = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    return Used(**json.loads(said))


def main() -> int:
    """Run the command that the arguments are, and write what it used to standard output."""
    began = time.perf_counter()
    process = os.posix_spawn(
        sys.argv[1],
        sys.argv[1:],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)],  # standard output is for what it used
    )
    _, status, usage = os.wait4(process, 0)
    used = Used(
        wall_seconds=time.perf_counter() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
    )
    sys.stdout.write(json.dumps(asdict(used)))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
