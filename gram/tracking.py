"""Tracking of jobs in MLflow: one run a job, under one parent a workflow invocation.

The only door to mlflow. Without an address nothing is sent, and nothing else changes. What fails
behind the door ends no job: the job says so in its log and goes on untracked.
"""

import logging
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from filelock import FileLock

from gram.files import atomic_path, write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EXPERIMENT = "gram"

ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
"""Environment: MLflow's address; empty: nothing is tracked."""


class RunAddress(NamedTuple):
    """Where the run of a job is: MLflow's address and the run's id."""

    address: str
    run_id: str


class Tracker(Protocol):
    """What a job may tell of itself."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Take numbers of one step; they may be sent later, in batches."""

    def artifact(self, path: Path) -> None:
        """Take a file."""

    def flush(self) -> None:
        """Send what has been taken so far."""

    def address_of_run(self) -> "RunAddress | None":
        """Give what another process needs to tell of this job too; None: nobody tracks it."""


class Silence:
    """The tracker of a job that nobody tracks."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Drop the numbers."""

    def artifact(self, path: Path) -> None:
        """Drop the file."""

    def flush(self) -> None:
        """Do nothing."""

    def address_of_run(self) -> RunAddress | None:
        """Give none."""
        return None


@dataclass(frozen=True, kw_only=True)
class JobIdentity:
    """What is known of a job before it works.

    Attributes:
        key: Rule and wildcards; the same for each try of the same job.
        settings: Canonical JSON of all settings that the job reads.
        params: The same settings, flat, for MLflow's table.
        tags: Commit, rule, versions.
    """

    key: str
    settings: str
    params: Mapping[str, str]
    tags: Mapping[str, str]


class MlflowTracker:
    """Sends the numbers of one job to MLflow, in batches.

    When MLflow fails, after the tries that its client makes by itself, this is said once in the
    log. From then on nothing is sent, and what is not sent is counted.
    """

    BATCH = 500
    """Most numbers held back."""

    def __init__(self, client: "MlflowClient", run_id: str, *, address: str) -> None:
        """Send to a run that exists."""
        self._client, self._run_id, self._address = client, run_id, address
        self._waiting: list[tuple[str, float, int, int]] = []
        self._num_lost = 0
        self._has_failed = False

    def address_of_run(self) -> RunAddress | None:
        """Give the run's address."""
        return RunAddress(self._address, self._run_id)

    def params(self, values: Mapping[str, str]) -> None:
        """Send settings."""
        from mlflow.entities import Param

        params = [Param(key, value[:6000]) for key, value in values.items()]
        self._send(partial(self._client.log_batch, self._run_id, params=params), size=len(params))

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Take numbers of one step."""
        now = int(time.time() * 1000)
        self._waiting += [(_metric_name(key), value, now, step) for key, value in values.items()]
        if len(self._waiting) >= self.BATCH:
            self.flush()

    def artifact(self, path: Path) -> None:
        """Send a file."""
        self._send(partial(self._client.log_artifact, self._run_id, str(path)), size=1)

    def flush(self) -> None:
        """Send all that is waiting."""
        from mlflow.entities import Metric

        while self._waiting:
            batch = self._waiting[:1000]  # the most that a server takes at once
            metrics = [Metric(*one) for one in batch]
            send = partial(self._client.log_batch, self._run_id, metrics=metrics)
            self._send(send, size=len(batch))
            del self._waiting[: len(batch)]

    def close(self, status: str, *, before: Callable[[], None] | None = None) -> None:
        """Send what is waiting and close the run, which is tried even after a failure.

        Args:
            status: ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.
            before: What else is told to MLflow before that.
        """
        self.flush()
        if before is not None:
            self._send(before, size=0)
        self._try(partial(self._client.set_terminated, self._run_id, status))
        if self._num_lost:
            log.warning("%d numbers and files of this job were not tracked", self._num_lost)

    def _send(self, send: Callable[[], object], *, size: int) -> None:
        if self._has_failed or not self._try(send):
            self._num_lost += size

    def _try(self, send: Callable[[], object]) -> bool:
        """Send something; say whether that went well."""
        try:
            send()
        except _failures() as error:
            if not self._has_failed:
                _warn(error, address=self._address)
            self._has_failed = True
            return False
        return True


@contextmanager
def tracked_job(
    job: JobIdentity, *, address: str, invocation: str, folder: Path
) -> Iterator[Tracker]:
    """Open the run of a job, and close it as finished, failed or killed.

    A run of the same job with the same settings that was cut off is gone on with; one that was
    cut off with other settings is closed as killed. When the job ends well, earlier finished runs
    of the same job are marked as superseded. Only runs of this project count: one server may
    take the runs of several clones.

    If MLflow cannot be used, the log says so, and the job goes on without it.

    Args:
        job: Who the job is.
        address: MLflow's address; empty: nothing is tracked.
        invocation: Name of this start of the workflow, the parent of its jobs.
        folder: Where the project's id and the parents' run ids are kept.
    """
    run = None
    if address:
        try:
            run = _OpenRun.of_job(job, address=address, invocation=invocation, folder=folder)
        except _failures_to_open() as error:
            _warn(error, address=address)
    if run is None:
        yield Silence()
        return
    try:
        yield run.tracker
    except BaseException as error:
        is_killed = isinstance(error, (SystemExit, KeyboardInterrupt))
        run.tracker.close("KILLED" if is_killed else "FAILED")
        raise
    run.tracker.close("FINISHED", before=run.supersede)


@contextmanager
def tracker_of_run(run: Sequence[str] | None) -> Iterator[Tracker]:
    """Tell of a job whose run another process has opened, and closes.

    Args:
        run: Address and id, as ``Tracker.address_of_run`` gives them; None: nothing is tracked.
    """
    if run is None:
        yield Silence()
        return
    from mlflow import MlflowClient

    address, run_id = run
    tracker = MlflowTracker(MlflowClient(address), run_id, address=address)
    try:
        yield tracker
    finally:
        tracker.flush()


def default_address() -> str:
    """Give the address of the SQLite file that tracks jobs where the environment names none."""
    return f"sqlite:///{Path('results/mlflow.db').absolute()}"


def without_password(text: str) -> str:
    """Give a text in which no address has a user or a password, to be shown to anyone.

    Example:
        >>> without_password("see http://anna:secret@tracking:5000/")
        'see http://tracking:5000/'
    """
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def finish_invocation(*, address: str, invocation: str, folder: Path, status: str) -> None:
    """Close the parent of this start of the workflow, if a job has opened it.

    Args:
        address: MLflow's address; empty: nothing is done.
        invocation: Name of this start of the workflow.
        folder: Where the parents' run ids are kept.
        status: ``"FINISHED"`` or ``"FAILED"``.
    """
    note = folder / f"{invocation}.txt"
    if not address or not note.is_file():
        return
    try:
        from mlflow import MlflowClient

        MlflowClient(address).set_terminated(note.read_text(encoding="utf-8"), status)
    except _failures_to_open() as error:
        _warn(error, address=address)


@dataclass(frozen=True, kw_only=True)
class _OpenRun:
    """The run of a job in MLflow, with what is needed to find the other runs of the job.

    Attributes:
        tracker: Takes what the job tells.
        client: MLflow's client.
        experiment: Id of the experiment.
        run_id: Id of the run.
        same_job: Filter for all runs of the job in this project.
    """

    tracker: MlflowTracker
    client: "MlflowClient"
    experiment: str
    run_id: str
    same_job: str

    @classmethod
    def of_job(cls, job: JobIdentity, *, address: str, invocation: str, folder: Path) -> "_OpenRun":
        """Go on with the run of a job that was cut off, or make one."""
        make_database(address)
        from mlflow import MlflowClient

        client = MlflowClient(address)
        experiment = _experiment(client, address)
        project = _project(folder)
        same_job = f"tags.`gram.key` = '{job.key}' and tags.`gram.project` = '{project}'"
        parent = _parent(client, experiment, invocation=invocation, folder=folder)
        run_id = _cut_off_run(client, experiment, same_job=same_job, settings=job.settings)
        tags = {
            **job.tags,
            "gram.key": job.key,
            "gram.project": project,
            "gram.settings": job.settings,
            "mlflow.parentRunId": parent,
        }
        is_new = run_id is None
        if run_id is None:
            run_id = client.create_run(experiment, tags=tags, run_name=job.key).info.run_id
        else:
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, "mlflow.parentRunId", parent)
        tracker = MlflowTracker(client, run_id, address=address)
        if is_new:
            tracker.params(job.params)
        return cls(
            tracker=tracker,
            client=client,
            experiment=experiment,
            run_id=run_id,
            same_job=same_job,
        )

    def supersede(self) -> None:
        """Mark this run as the job's current one, and the one before as superseded by it."""
        current = f"{self.same_job} and tags.`gram.state` = 'current'"
        for run in self.client.search_runs([self.experiment], current):
            self.client.set_tag(run.info.run_id, "gram.state", "superseded")
            self.client.set_tag(run.info.run_id, "gram.superseded_by", self.run_id)
        self.client.set_tag(self.run_id, "gram.state", "current")


def make_database(address: str) -> None:
    """Make the database behind a SQLite address if it is not there; others need nothing of ours.

    Processes that open a fresh file at the same time break each other's set-up. So one of them
    makes it, under another name until it is whole, and the others wait.

    Raises:
        subprocess.CalledProcessError: If MLflow cannot set the database up.
    """
    if not _is_sqlite(address) or _database(address).is_file():
        return
    path = _database(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.is_file():  # made while we waited
            return
        log.info("making the tracking database %s", path)
        with atomic_path(path) as temporary:
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{temporary}"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            log.debug("%s", done.stderr.strip())
            done.check_returncode()


def _failures() -> tuple[type[Exception], ...]:
    """Give what MLflow raises when it cannot be reached, or its database cannot be used."""
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:  # then nothing of theirs can be raised
        return (OSError,)
    return (MlflowException, SQLAlchemyError, OSError)


def _failures_to_open() -> tuple[type[Exception], ...]:
    return (*_failures(), ImportError, subprocess.CalledProcessError)


def _warn(error: Exception, *, address: str) -> None:
    log.warning(
        "tracking at %s failed, and the job goes on without it (%s: %s). Check that the address "
        "in %s can be reached and its database written, or set it to nothing to track nothing.",
        without_password(address),
        type(error).__name__,
        without_password(str(error)),
        ADDRESS_VARIABLE,
    )


def _experiment(client: "MlflowClient", address: str) -> str:
    """Find or make the experiment; beside a SQLite file it keeps its artifacts there too."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            artifacts = _database(address).with_name("mlflow_artifacts").as_uri()
            location = artifacts if _is_sqlite(address) else None
            return str(client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException:  # another job made it in between
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return str(found.experiment_id)


def _project(folder: Path) -> str:
    """Give the id of this project folder, drawn once and kept in a file."""
    return _kept(folder / "project.txt", lambda: str(uuid.uuid4()))


def _parent(client: "MlflowClient", experiment: str, *, invocation: str, folder: Path) -> str:
    def make() -> str:
        return str(client.create_run(experiment, run_name=f"workflow {invocation}").info.run_id)

    return _kept(folder / f"{invocation}.txt", make)


def _kept(note: Path, make: Callable[[], str]) -> str:
    """Read a file of one word; the first of several processes that ask makes it."""
    note.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(note.with_suffix(".lock")):
        if not note.is_file():
            write_text(note, make())
    return note.read_text(encoding="utf-8")


def _cut_off_run(
    client: "MlflowClient", experiment: str, *, same_job: str, settings: str
) -> str | None:
    """Find the run of a job that was cut off with these settings; close those with others."""
    for run in client.search_runs([experiment], same_job):
        if run.info.status not in {"RUNNING", "KILLED"}:
            continue
        if run.data.tags.get("gram.settings") == settings:
            return str(run.info.run_id)
        client.set_terminated(run.info.run_id, "KILLED")
    return None


def _is_sqlite(address: str) -> bool:
    return address.startswith("sqlite:")


def _database(address: str) -> Path:
    return Path(address.removeprefix("sqlite:///").partition("?")[0]).absolute()


def _metric_name(name: str) -> str:
    """Replace what MLflow does not take in a name, such as the @ of R@1."""
    return name.replace("@", "_at_")
