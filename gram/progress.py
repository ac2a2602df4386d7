"""Progress of long work: a bar in a terminal, a line every so often in a log.

Several jobs may share one terminal. Only one of them draws its bar at a time; all of them write
lines to their logs.
"""

import fcntl
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LINE_SECONDS = 10.0
"""Seconds between two lines in a log."""

Item = TypeVar("Item")


def track(
    items: Iterable[Item], *, total: int, label: str, unit: str, start: int = 0
) -> Iterator[Item]:
    """Pass items on while showing how many are done, the rate and the time left.

    Args:
        items: What is worked through.
        total: Number of items when all is done, those before ``start`` included.
        label: What is done, for the reader: ``"extracting toys, chunk 2"``.
        unit: What an item is, in the plural: ``"clips"``.
        start: Number of items that an earlier, interrupted job did.
    """
    began = last_line = time.monotonic()
    done = start
    with _bar(label, unit=unit, total=total, start=start) as bar:
        for done, item in enumerate(items, start=start + 1):
            yield item
            now = time.monotonic()
            if bar is not None:
                rate = f"{(done - start) / max(now - began, 1e-9):.1f}/s"
                bar.update(bar.task_ids[0], completed=done, rate=rate)
            if now - last_line >= LINE_SECONDS and done < total:
                last_line = now
                log.info(
                    "%s", _line(label, unit, done, total=total, rate=(done - start) / (now - began))
                )
    seconds = max(time.monotonic() - began, 1e-9)
    number = done - start
    log.info("%s: %d %s in %.1f s, %.1f a second", label, number, unit, seconds, number / seconds)


def _line(label: str, unit: str, done: int, *, total: int, rate: float) -> str:
    left = (total - done) / rate
    return f"{label}: {done} of {total} {unit}, {rate:.1f} a second, {left:.0f} s left"


@contextmanager
def _bar(label: str, *, unit: str, total: int, start: int) -> Iterator[Progress | None]:
    """Draw a bar if standard error is a terminal where no other job draws one."""
    if not sys.stderr.isatty():
        yield None
        return
    with _terminal_lock() as is_ours:
        if not is_ours:
            yield None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            progress.add_task(label, total=total, completed=start, rate="")
            yield progress


@contextmanager
def _terminal_lock() -> Iterator[bool]:
    """Try to become the one job of this user that draws on this terminal."""
    try:
        terminal = os.ttyname(sys.stderr.fileno()).replace("/", "_")
    except OSError:  # a terminal without a name, as in some containers: nobody can share it
        yield True
        return
    path = Path(tempfile.gettempdir()) / f"gram-progress-{os.getuid()}{terminal}.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
