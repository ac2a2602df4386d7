"""`make bench`: the pairwise volume, shards and loader on this machine, into docs/benchmarks.md."""

import argparse
import os
import platform
import tempfile
from pathlib import Path

import torch
from rich.console import Console

from bench.loader import loader_section
from bench.shards import shards_section
from bench.volume import TURNS, volume_section

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
SECTIONS = ("volume", "shards", "loader")


def main() -> None:
    """Measure, print the page, and write it."""
    parser = argparse.ArgumentParser(description="Measure on this machine and write a page.")
    parser.add_argument("--only", choices=SECTIONS, help="measure this alone")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    console = Console()

    def print_plainly(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    parts = [heading(arguments.only)]
    if arguments.only in (None, "volume"):
        console.print("Measuring the volume (minutes) ...")
        devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        parts += [volume_section(device, tell=print_plainly) for device in devices]
    for name, section in (("shards", shards_section), ("loader", loader_section)):
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="gram-bench-") as folder:
                console.print(f"Making what the measurement of the {name} needs ...")
                parts.append(section(Path(folder)))
    page = "\n\n".join(parts) + "\n"
    print_plainly(page)
    arguments.output.write_text(page, encoding="utf-8")


def heading(only: str | None) -> str:
    """Say by what, where and how the numbers were made."""
    command = "make bench" if only is None else f"python -m bench.bench --only {only}"
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    turns = ", ".join(f"{count} turns at {size}" for size, count in TURNS.items())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `{command}`; numbers are medians of runs that take turns ({turns}).",
            "",
            f"- Machine: {processor()}, {os.cpu_count()} cores{gpu}; {platform.system()}",
            f"- torch {torch.__version__} with {torch.get_num_threads()} threads, "
            f"Python {platform.python_version()}",
            f"- Load of the machine at the start (1, 5, 15 minutes): {load}",
        ]
    )


def processor() -> str:
    """Name the processor as well as the system knows it."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
