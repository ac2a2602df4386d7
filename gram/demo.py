"""`make demo`: the whole workflow on generated clips, then what came out and where it lies."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import imageio_ffmpeg

from gram.data.ffmpeg import VARIABLE as FFMPEG_VARIABLE

LOCK = Path("results/demo.lock")
PROFILE = "profiles/demo"


def main() -> int:
    """Run the demo workflow and show its table; return the exit status of Snakemake.

    Only one demo runs in a folder at a time. When the last one was killed, the lock that its
    Snakemake left behind is removed, so that the same command can simply be typed again; the lock
    of any other Snakemake is respected.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another demo is running in this folder. Wait for it, or end it.")
            return 1
        if LOCK.read_text(encoding="utf-8"):  # written below, and the end was not reached
            _snakemake("--unlock", "--quiet", lock=lock)
        LOCK.write_text("running\n", encoding="utf-8")
        began = time.monotonic()
        status = _snakemake(lock=lock)
        seconds = time.monotonic() - began
        LOCK.write_text("", encoding="utf-8")
    if status == 0:
        _say(Path("results/tables/demo.md").read_text(encoding="utf-8"))
        _say(f"Workflow: {seconds:.0f} s.")
        _say(f"Report:   {Path('results/report/index.html').absolute()}")
        _say(f"Tracking: {_mlflow_command()}")
    return status


def _snakemake(*arguments: str, lock: IO[str]) -> int:
    """Run Snakemake, which holds our lock as long as it lives, whatever becomes of us.

    The demo decodes by the ffmpeg of the imageio-ffmpeg wheel unless told otherwise: one pinned
    version gives everyone the same bytes, and it starts faster than a distribution's.
    """
    command = [sys.executable, "-m", "snakemake", "--profile", PROFILE, *arguments]
    environment = {FFMPEG_VARIABLE: imageio_ffmpeg.get_ffmpeg_exe(), **os.environ}
    return subprocess.run(
        command, check=False, pass_fds=[lock.fileno()], env=environment
    ).returncode


def _mlflow_command() -> str:
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address is not None:
        return f"see {address}" if address else "switched off (MLFLOW_TRACKING_URI is empty)"
    mlflow = Path(sys.executable).with_name("mlflow")
    database = Path("results/mlflow.db").absolute()
    return f"{mlflow} ui --backend-store-uri sqlite:///{database}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
