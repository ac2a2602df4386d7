"""What a job tells of itself: to MLflow, in batches and from a thread; to a file; to nobody."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gram.tracking.database import failures, limit_patience, warn
from gram.tracking.sender import Sender, batches_of
from gram.tracking.unsent import Item, Unsent

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


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


class Sink(Protocol):
    """Where the items go that a job tells."""

    def take(self, items: Sequence[Item]) -> None:
        """Take items; they may be sent later, in batches."""

    def flush(self) -> None:
        """Send what has been taken so far, without waiting for it."""

    def settle(self) -> None:
        """Wait until all that has been taken is sent, or kept for later."""

    def address_of_run(self) -> RunAddress | None:
        """Give what another process needs to send to the same place; None: nobody listens."""


class _Nobody:
    """Drops everything."""

    def take(self, items: Sequence[Item]) -> None:
        """Drop the items."""

    def flush(self) -> None:
        """Do nothing."""

    def settle(self) -> None:
        """Wait for nothing."""

    def address_of_run(self) -> RunAddress | None:
        """Give none."""
        return None


class Tracker:
    """What a job may tell of itself, to whom it may concern; without a sink, to nobody."""

    def __init__(self, sink: Sink | None = None) -> None:
        """Take where it all goes."""
        self._sink: Sink = _Nobody() if sink is None else sink

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Tell numbers of one step, with the time and with names that MLflow takes."""
        now = int(time.time() * 1000)
        self._sink.take(
            [("number", _metric_name(key), value, now, step) for key, value in values.items()]
        )

    def params(self, values: Mapping[str, str]) -> None:
        """Tell settings."""
        self._sink.take([("setting", key, value) for key, value in values.items()])

    def tags(self, values: Mapping[str, str]) -> None:
        """Tell facts of the job."""
        self._sink.take([("fact", key, value) for key, value in values.items()])

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Give a file, which stays where it is until the job ends, for a folder of the run."""
        self._sink.take([("file", str(path.absolute()), folder)])

    def register(self, folder: str, *, sha256: str) -> None:
        """Make a folder of the run, whose files were given before, a version of a model.

        Args:
            folder: Folder of the run.
            sha256: Of the checkpoint in it; the same one is registered once.
        """
        self._sink.take([("model", folder, sha256)])

    def flush(self) -> None:
        """Have what was told so far sent, without waiting for it."""
        self._sink.flush()

    def settle(self) -> None:
        """Wait until all that was told is sent, or kept for later."""
        self._sink.settle()

    def address_of_run(self) -> RunAddress | None:
        """Give what another process needs to tell of this job too; None: nobody listens."""
        return self._sink.address_of_run()


class FileSink:
    """Keeps all in a file, for a job whose run could not be opened."""

    def __init__(self, unsent: Unsent, *, address: str) -> None:
        """Take the file, and the address where nobody answered."""
        self._unsent, self._address = unsent, address

    def take(self, items: Sequence[Item]) -> None:
        """Keep the items."""
        self._unsent.add(items)

    def flush(self) -> None:
        """Do nothing: all is in the file."""

    def settle(self) -> None:
        """Wait for nothing: all is in the file."""

    def address_of_run(self) -> RunAddress | None:
        """Give the file."""
        return RunAddress(self._address, "", str(self._unsent.path))


class MlflowSink:
    """Sends to a run of MLflow, in batches, from a thread: the job does not wait.

    When MLflow fails, after the tries that its client makes by itself, this is said once in the
    log. From then on all goes to a file, and once more to MLflow when the run is closed; without
    a file, what is not sent is counted.
    """

    BATCH = 500
    """Most numbers held back."""

    SECONDS = 10.0
    """Longest time for which numbers are held back while others come."""

    def __init__(
        self, client: "MlflowClient", run_id: str, *, address: str, unsent: Unsent | None = None
    ) -> None:
        """Send to a run that exists."""
        self._sender = Sender(client, run_id)
        self._address, self._unsent = address, unsent
        self._waiting: list[Item] = []
        self._sent_at = time.monotonic()
        self._num_lost = 0
        self._has_failed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")

    def address_of_run(self) -> RunAddress | None:
        """Give the run's address."""
        unsent = "" if self._unsent is None else str(self._unsent.path)
        return RunAddress(self._address, self._sender.run_id, unsent)

    def take(self, items: Sequence[Item]) -> None:
        """Hold numbers back until there are many, or time has passed; send the rest at once."""
        self._waiting += items
        is_old = time.monotonic() - self._sent_at > self.SECONDS
        is_more = any(kind != "number" for kind, *_ in items)
        if is_more or is_old or len(self._waiting) >= self.BATCH:
            self.flush()

    def flush(self) -> None:
        """Have all that is waiting sent."""
        items, self._waiting, self._sent_at = self._waiting, [], time.monotonic()
        if items:
            self._thread.submit(self._deliver, items)

    def settle(self) -> None:
        """Wait until all is sent, or kept."""
        self.flush()
        self._thread.submit(lambda: None).result()

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
        if before is not None and not self._has_failed:
            self._try(before)
        self._try(partial(self._sender.client.set_terminated, self._sender.run_id, status))
        if self._num_lost:
            log.warning("%d numbers and files of this job were not tracked", self._num_lost)

    def _deliver(self, items: Sequence[Item]) -> None:
        """Send items; where that fails, keep them in the file, or count them."""
        left = items if self._has_failed else self._left(items)
        if not left:
            return
        if self._unsent is None:
            self._num_lost += len(left)
        else:
            self._unsent.add(left)

    def _left(self, items: Sequence[Item]) -> Sequence[Item]:
        """Send items in their order; give those that were not taken, from the first one on."""
        done = 0
        for batch in batches_of(items):
            if not self._try(partial(self._sender.send, batch)):
                break
            done += len(batch)
        return items[done:]

    def _send_unsent(self) -> None:
        """Send what earlier tries, or this one, could not; keep what fails again."""
        if self._unsent is None or not (items := self._unsent.read()):
            return
        left = self._left(items)
        self._unsent.replace(left)
        if left:
            self._unsent.warn()
        else:
            self._has_failed = False

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
        yield Tracker()
        return
    address, run_id, path = run
    unsent = Unsent(Path(path)) if path else None
    if not run_id:
        yield Tracker(None if unsent is None else FileSink(unsent, address=address))
        return
    limit_patience(os.environ)
    from mlflow import MlflowClient

    sink = MlflowSink(MlflowClient(address), run_id, address=address, unsent=unsent)
    try:
        yield Tracker(sink)
    finally:
        sink.end()


def _metric_name(name: str) -> str:
    """Replace what MLflow does not take in a name, such as the @ of R@1."""
    return name.replace("@", "_at_")
