"""What a job tells of itself: to MLflow, in batches and from a thread; to a file; to nobody."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gram.tracking.database import failures, warn

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

Number = tuple[str, float, int, int]
"""Name, value, time in ms, step of one number."""

MOST_SENT = 1000
"""Most numbers that a server takes at once."""


class RunAddress(NamedTuple):
    """Where the run of a job is, in words that another process can be given.

    Attributes:
        address: MLflow's address.
        run_id: Id of the run; empty: it could not be opened.
        unsent: File for what cannot be sent; empty: that is lost.
    """

    address: str
    run_id: str
    unsent: str


class Tracker(Protocol):
    """What a job may tell of itself."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Take numbers of one step; they may be sent later, in batches."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Take facts of the job."""

    def artifact(self, path: Path) -> None:
        """Take a file."""

    def flush(self) -> None:
        """Send what has been taken so far, without waiting for it."""

    def address_of_run(self) -> "RunAddress | None":
        """Give what another process needs to tell of this job too; None: nobody tracks it."""


class Silence:
    """The tracker of a job that nobody tracks."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Drop the numbers."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Drop the facts."""

    def artifact(self, path: Path) -> None:
        """Drop the file."""

    def flush(self) -> None:
        """Do nothing."""

    def address_of_run(self) -> RunAddress | None:
        """Give none."""
        return None


class Unsent:
    """Numbers that MLflow did not take, in a file beside the job's output, one JSON line each."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is there only while it holds something."""
        self.path = path

    def add(self, numbers: Sequence[Number]) -> None:
        """Write numbers at the end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(one)}\n" for one in numbers)

    def read(self) -> list[Number]:
        """Give the numbers; a line that a killed job left half written is left out."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [(name, value, now, step) for name, value, now, step in map(json.loads, lines)]

    def remove(self) -> None:
        """Remove the file: all that it held has been sent."""
        self.path.unlink(missing_ok=True)


class Keeper(Silence):
    """The tracker of a job whose run could not be opened: keeps its numbers in a file."""

    def __init__(self, unsent: Unsent, *, address: str) -> None:
        """Take the file, and the address where nobody answered."""
        self._unsent, self._address = unsent, address

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Keep the numbers."""
        self._unsent.add(numbers_of(values, step=step))

    def address_of_run(self) -> RunAddress | None:
        """Give the file."""
        return RunAddress(self._address, "", str(self._unsent.path))


class MlflowTracker:
    """Sends the numbers of one job to MLflow, in batches, from a thread: the job does not wait.

    When MLflow fails, after the tries that its client makes by itself, this is said once in the
    log. From then on numbers go to a file, and once more to MLflow when the run is closed; without
    a file, and for all else, what is not sent is counted.
    """

    BATCH = 500
    """Most numbers held back."""

    SECONDS = 10.0
    """Longest time for which numbers are held back while others come."""

    def __init__(
        self, client: "MlflowClient", run_id: str, *, address: str, unsent: Unsent | None = None
    ) -> None:
        """Send to a run that exists."""
        self._client, self._run_id, self._address = client, run_id, address
        self._unsent = unsent
        self._waiting: list[Number] = []
        self._sent_at = time.monotonic()
        self._num_lost = 0
        self._has_failed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")

    def address_of_run(self) -> RunAddress | None:
        """Give the run's address."""
        unsent = "" if self._unsent is None else str(self._unsent.path)
        return RunAddress(self._address, self._run_id, unsent)

    def params(self, values: Mapping[str, str]) -> None:
        """Send settings."""
        from mlflow.entities import Param

        params = [Param(key, value[:6000]) for key, value in values.items()]
        send = partial(self._client.log_batch, self._run_id, params=params)
        self._thread.submit(self._send, send, size=len(params))

    def tags(self, values: Mapping[str, str]) -> None:
        """Send facts."""
        for key, value in values.items():
            send = partial(self._client.set_tag, self._run_id, key, value)
            self._thread.submit(self._send, send, size=1)

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Take numbers of one step."""
        self._waiting += numbers_of(values, step=step)
        is_old = time.monotonic() - self._sent_at > self.SECONDS
        if is_old or len(self._waiting) >= self.BATCH:
            self.flush()

    def artifact(self, path: Path) -> None:
        """Send a file."""
        send = partial(self._client.log_artifact, self._run_id, str(path))
        self._thread.submit(self._send, send, size=1)

    def flush(self) -> None:
        """Have all that is waiting sent."""
        numbers, self._waiting, self._sent_at = self._waiting, [], time.monotonic()
        if numbers:
            self._thread.submit(self._deliver, numbers)

    def end(self) -> None:
        """Send what is waiting, and wait for that; the run stays open."""
        self.flush()
        self._thread.shutdown()

    def close(self, status: str, *, before: Callable[[], None] | None = None) -> None:
        """Send what is waiting and close the run, which is tried even after a failure.

        Args:
            status: ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.
            before: What else is told to MLflow before that.
        """
        self.end()
        self._send_unsent()
        if before is not None:
            self._send(before, size=0)
        self._try(partial(self._client.set_terminated, self._run_id, status))
        if self._num_lost:
            log.warning("%d numbers and files of this job were not tracked", self._num_lost)

    def _deliver(self, numbers: list[Number]) -> None:
        """Send numbers; where that fails, keep them in the file, or count them."""
        while numbers:
            batch, numbers = numbers[:MOST_SENT], numbers[MOST_SENT:]
            if self._has_failed or not self._try(partial(self._log, batch)):
                if self._unsent is None:
                    self._num_lost += len(batch)
                else:
                    self._unsent.add(batch)

    def _send_unsent(self) -> None:
        """Send what earlier tries, or this one, could not; keep it where that fails again."""
        if self._unsent is None or not (numbers := self._unsent.read()):
            return
        for first in range(0, len(numbers), MOST_SENT):
            if not self._try(partial(self._log, numbers[first : first + MOST_SENT])):
                log.warning(
                    "%d numbers of this job were not tracked; they are kept in %s, and the next "
                    "try of the job sends them",
                    len(numbers),
                    self._unsent.path,
                )
                return
        self._unsent.remove()
        self._has_failed = False

    def _log(self, numbers: Sequence[Number]) -> None:
        from mlflow.entities import Metric

        self._client.log_batch(self._run_id, metrics=[Metric(*one) for one in numbers])

    def _send(self, send: Callable[[], object], *, size: int) -> None:
        if self._has_failed or not self._try(send):
            self._num_lost += size

    def _try(self, send: Callable[[], object]) -> bool:
        """Send something; say whether that went well."""
        try:
            send()
        except failures() as error:
            if not self._has_failed:
                warn(error, address=self._address)
            self._has_failed = True
            return False
        return True


@contextmanager
def tracker_of_run(run: Sequence[str] | None) -> Iterator[Tracker]:
    """Tell of a job whose run another process has opened, and closes.

    Args:
        run: What ``Tracker.address_of_run`` gives; None: nothing is tracked.
    """
    if run is None:
        yield Silence()
        return
    address, run_id, path = run
    unsent = Unsent(Path(path)) if path else None
    if not run_id:
        yield Silence() if unsent is None else Keeper(unsent, address=address)
        return
    from mlflow import MlflowClient

    tracker = MlflowTracker(MlflowClient(address), run_id, address=address, unsent=unsent)
    try:
        yield tracker
    finally:
        tracker.end()


def numbers_of(values: Mapping[str, float], *, step: int) -> list[Number]:
    """Give numbers of one step, with the time and with names that MLflow takes."""
    now = int(time.time() * 1000)
    return [(_metric_name(key), value, now, step) for key, value in values.items()]


def _metric_name(name: str) -> str:
    """Replace what MLflow does not take in a name, such as the @ of R@1."""
    return name.replace("@", "_at_")
