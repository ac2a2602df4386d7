"""A lease: the file beside an output that tells which job is making it, and that the job lives.

A workflow that is killed leaves its jobs on a cluster behind. Their leases keep the next start of
the workflow from making the same output at the same time.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gram.config import Section
from gram.files import LEASE_SUFFIX, write_text
from gram.slurm import SlurmError, is_active, own_job

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
"""Seconds between two signs of life: the time of the file."""

SILENT_SECONDS = 60.0
"""A job without a sign of life for so long is dead; clocks of nodes may differ a little."""

PATIENCE_SECONDS = 90.0
"""How long a job waits for another one to end that makes the same output."""


class Holder(Section):
    """The job that makes an output.

    Attributes:
        host: Machine that it runs on.
        process: Its number there.
        job: Number of its Slurm job; None: it is in none.
        since: When it began.
    """

    host: str
    process: int
    job: str | None
    since: str

    @property
    def name(self) -> str:
        """What people call it."""
        return f"process {self.process}" if self.job is None else f"Slurm job {self.job}"

    @property
    def end_command(self) -> str:
        """How it is ended."""
        return f"kill {self.process}" if self.job is None else f"scancel {self.job}"


class TakenError(ValueError):
    """Another job makes this output."""


def lease_of(output: Path) -> Path:
    """Name the lease of an output."""
    return output.with_name(f"{output.name}{LEASE_SUFFIX}")


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Hold the lease of an output as long as the block runs.

    What a dead job left behind is taken over at once: one that was requeued by Slurm, that Slurm
    no longer runs, or whose process is gone; elsewhere, one without a sign of life.

    Raises:
        TakenError: If a living job holds it, also after some patience.
    """
    path, own = lease_of(output), _self()
    limit = time.monotonic() + PATIENCE_SECONDS
    while (other := living_holder(output)) is not None:
        if time.monotonic() > limit:
            raise TakenError(account_of({output: other}))
        time.sleep(1)
    write_text(path, own.model_dump_json())
    ended = threading.Event()
    threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if _read(path) == own:
            path.unlink()


def living_holder(output: Path) -> Holder | None:
    """Give the living job that makes an output; None: no job does, or none that lives."""
    path = lease_of(output)
    try:
        silent_seconds = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    holder = _read(path)
    if holder is None or silent_seconds > SILENT_SECONDS:
        return None
    if holder.job is not None:
        return holder if holder.job != own_job() and _may_be_active(holder.job) else None
    is_gone = holder.host == socket.gethostname() and not _is_process(holder.process)
    return None if is_gone else holder


def living_holders(outputs: Iterable[Path]) -> dict[Path, Holder]:
    """Give the living jobs that make some outputs."""
    found = {output: living_holder(output) for output in outputs}
    return {output: holder for output, holder in found.items() if holder is not None}


def account_of(holders: dict[Path, Holder]) -> str:
    """Say what is made by whom, and what to do about it."""
    lines = [
        f"{output} is being made by {holder.name} on {holder.host} since {holder.since}"
        for output, holder in holders.items()
    ]
    ends = "; ".join(dict.fromkeys(holder.end_command for holder in holders.values()))
    advice = "wait until it is done, or end it" if len(holders) == 1 else "wait, or end them"
    return (
        "\n".join(lines)
        + f"\nprobably for a workflow that was killed; {advice} ({ends}), then start again"
    )


def _self() -> Holder:
    return Holder(
        host=socket.gethostname(),
        process=os.getpid(),
        job=own_job(),
        since=f"{datetime.now():%Y-%m-%d %H:%M:%S}",
    )


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        try:
            os.utime(path)
        except OSError as error:
            log.warning("no sign of life can be given at %s: %s", path, error)


def _read(path: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def _may_be_active(job: str) -> bool:
    try:
        return is_active(job)
    except SlurmError as error:
        log.warning("whether the Slurm job %s is active is not known: %s", job, error)
        return True


def _is_process(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
