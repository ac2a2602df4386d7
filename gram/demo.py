"""`make demo`: the whole workflow on generated clips, then what came out and where it lies.

`make losses` is the same for one table more: five losses on the demo's clips.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import psutil

from gram.data.ffmpeg import VARIABLE as FFMPEG_VARIABLE
from gram.tracking import ADDRESS_VARIABLE, default_address, without_password

LOCK = Path("results/demo.lock")
PROFILE = "profiles/demo"

TABLES = {
    "demo": (),
    "losses": (
        "losses",
        "results/figures/checkpoints-toys_losses.svg",
        *("--configfile", "config/demo.yaml", "config/losses.yaml"),
    ),
}
"""What is asked of Snakemake for each table that can be asked for here."""


def main(arguments: Sequence[str]) -> int:
    """Run the demo workflow and show its table; return the exit status of Snakemake.

    Args:
        arguments: Name of the table, one of ``TABLES``; none: demo.

    Only one demo runs in a folder at a time. When the last one was killed, the lock that its
    Snakemake left behind is removed, so that the same command can simply be typed again; while
    any other Snakemake lives in the folder, its lock is respected. Control-C is for Snakemake,
    which the terminal tells too: the demo waits until its jobs are ended, and returns 130.
    """
    (table,) = arguments or ("demo",)
    asked = TABLES[table]
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another demo is running in this folder. Wait for it, or end it.")
            return 1
        if LOCK.read_text(encoding="utf-8"):  # written below, and the end was not reached
            if (other := _another_snakemake()) is not None:
                _say(
                    f"A Snakemake that this demo did not start runs in this folder (process "
                    f"{other}). Wait for it, or end it, and type the command again."
                )
                return 1
            _snakemake("--unlock", "--quiet", lock=lock)
        LOCK.write_text("running\n", encoding="utf-8")
        began = time.monotonic()
        with _interrupts_noted() as interrupts:
            status = _snakemake(*asked, lock=lock)
        seconds = time.monotonic() - began
        LOCK.write_text("", encoding="utf-8")
    if interrupts:
        return 128 + signal.SIGINT
    if status == 0:
        _say(Path(f"results/tables/{table}.md").read_text(encoding="utf-8"))
        _say(f"Workflow: {seconds:.0f} s.")
        if table == "demo":
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


@contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """Note Control-C instead of ending by it; what we start is still ended by it."""
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _another_snakemake() -> int | None:
    """Find a Snakemake, or a job of one, that runs in this folder; None: there is none.

    Ours is not found: it would hold our lock.
    """
    for process in psutil.process_iter():
        try:
            command, folder = process.cmdline(), process.cwd()
        except (psutil.Error, OSError):  # it ended just now, or is another user's
            continue
        is_snakemake = any(Path(word).name == "snakemake" for word in command[:3])
        is_job = any("/.snakemake/scripts/" in word for word in command[:3])
        if (is_snakemake or is_job) and Path(folder) == Path.cwd():
            return int(process.pid)
    return None


def _mlflow_command() -> str:
    address = os.environ.get(ADDRESS_VARIABLE)
    if address is not None:
        shown = without_password(address)
        return f"see {shown}" if shown else f"switched off ({ADDRESS_VARIABLE} is empty)"
    mlflow = Path(sys.executable).with_name("mlflow")
    return f"{mlflow} ui --backend-store-uri {default_address()}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
