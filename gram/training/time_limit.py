"""A training whose Slurm job comes to its time limit: it saves its state and is started again."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from gram.slurm import SlurmError, end_of_job, own_job, requeue
from gram.training.stopping import STOPPED_EXIT_CODE

log = logging.getLogger(__name__)


@contextmanager
def again_before_time_limit(*, spare_seconds: int) -> Iterator[None]:
    """Send SIGUSR1 to this process before its Slurm job is ended, and requeue the job then.

    SIGUSR1 ends a training after its step, with its state saved. A job that was requeued waits,
    and goes on under the same number: a workflow that looks on counts no try. Outside of a Slurm
    job, in one without a limit, or where Slurm does not answer, nothing happens.

    Args:
        spare_seconds: How long before the limit the signal comes: a step and the writing of a
            state must fit.

    Raises:
        ValueError: If the whole time of the job is not longer than that.
    """
    number = own_job()
    end = None if number is None else _end_of(number)
    if number is None or end is None:
        yield
        return
    if _seconds_until(end) <= spare_seconds:
        raise ValueError(
            f"the Slurm job {number} ends in {_seconds_until(end):.0f} s, and a training stops "
            f"{spare_seconds} s before that; raise runtime, or lower spare_seconds, of the rule in "
            "the profile"
        )
    watch = _Watch(number, end, spare_seconds=spare_seconds)
    try:
        yield
    except SystemExit as stop:
        if watch.has_rung and stop.code == STOPPED_EXIT_CODE:
            _start_again(number)
        raise
    finally:
        watch.cancel()


class _Watch:
    """Waits for the end of a job, which an administrator may put off meanwhile."""

    def __init__(self, number: str, end: datetime, *, spare_seconds: int) -> None:
        self.has_rung = False
        self._number, self._spare_seconds = number, spare_seconds
        self._set(end)

    def cancel(self) -> None:
        """Wait no longer."""
        self._timer.cancel()

    def _set(self, end: datetime) -> None:
        self._timer = threading.Timer(_seconds_until(end) - self._spare_seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def _ring(self) -> None:
        end = _end_of(self._number)
        if end is not None and _seconds_until(end) > self._spare_seconds + 1:
            self._set(end)
            return
        log.warning(
            "the time limit of the Slurm job %s is near: the training saves its state and is "
            "started again",
            self._number,
        )
        self.has_rung = True
        os.kill(os.getpid(), signal.SIGUSR1)


def _end_of(number: str) -> datetime | None:
    try:
        return end_of_job(number)
    except SlurmError as error:
        log.warning("the time limit of the Slurm job %s is not known: %s", number, error)
        return None


def _start_again(number: str) -> None:
    try:
        requeue(number)
    except SlurmError as error:
        log.warning("the Slurm job %s cannot be requeued and fails instead: %s", number, error)


def _seconds_until(end: datetime) -> float:
    return (end - datetime.now()).total_seconds()
