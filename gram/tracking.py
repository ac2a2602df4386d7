"""Tracking of jobs in MLflow: one run a job, under one parent a workflow invocation.

The only door to mlflow. Without an address nothing is sent, and nothing else changes.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EXPERIMENT = "gram"


class Tracker(Protocol):
    """What a job may tell of itself."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Take numbers of one step; they may be sent later, in batches."""

    def artifact(self, path: Path) -> None:
        """Take a file."""


class Silence:
    """The tracker of a job that nobody tracks."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Drop the numbers."""

    def artifact(self, path: Path) -> None:
        """Drop the file."""


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
    """Sends the numbers of one job to MLflow, in batches."""

    BATCH = 500
    """Most numbers held back."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        """Send to a run that exists."""
        self._client, self._run_id = client, run_id
        self._waiting: list[tuple[str, float, int, int]] = []

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Take numbers of one step."""
        now = int(time.time() * 1000)
        self._waiting += [(_metric_name(key), value, now, step) for key, value in values.items()]
        if len(self._waiting) >= self.BATCH:
            self.flush()

    def artifact(self, path: Path) -> None:
        """Send a file."""
        self._client.log_artifact(self._run_id, str(path))

    def flush(self) -> None:
        """Send all that is waiting."""
        from mlflow.entities import Metric

        metrics = [Metric(key, value, now, step) for key, value, now, step in self._waiting]
        for start in range(0, len(metrics), 1000):  # the most that a server takes at once
            self._client.log_batch(self._run_id, metrics=metrics[start : start + 1000])
        self._waiting.clear()


@contextmanager
def tracked_job(
    job: JobIdentity, *, address: str, invocation: str, folder: Path
) -> Iterator[Tracker]:
    """Open the run of a job, and close it as finished, failed or killed.

    A run of the same job with the same settings that was cut off is gone on with; one that was
    cut off with other settings is closed as killed. When the job ends well, earlier finished runs
    of the same job are marked as superseded.

    Args:
        job: Who the job is.
        address: MLflow's address; empty: nothing is tracked.
        invocation: Name of this start of the workflow, the parent of its jobs.
        folder: Where the parents' run ids are kept.
    """
    if not address:
        yield Silence()
        return
    from mlflow import MlflowClient

    client = MlflowClient(address)
    experiment = _experiment(client, address)
    parent = _parent(client, experiment, invocation=invocation, folder=folder)
    run_id = _open_run(client, experiment, job=job, parent=parent)
    tracker = MlflowTracker(client, run_id)
    try:
        yield tracker
    except BaseException as error:
        tracker.flush()
        is_killed = isinstance(error, (SystemExit, KeyboardInterrupt))
        client.set_terminated(run_id, "KILLED" if is_killed else "FAILED")
        raise
    tracker.flush()
    _supersede(client, experiment, job=job, run_id=run_id)
    client.set_terminated(run_id, "FINISHED")


def prepare_tracking(address: str) -> None:
    """Make or upgrade the database behind a SQLite address, before several jobs write to it.

    Processes that open a fresh file at the same time break each other's set-up. A server's
    address needs nothing.

    Raises:
        subprocess.CalledProcessError: If MLflow cannot set the database up.
    """
    if not _is_sqlite(address):
        log.info("tracking at %s needs no database of ours", address or "nowhere")
        return
    _database(address).parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", address],
        check=False,
        capture_output=True,
        text=True,
    )
    log.info("%s", done.stderr.strip())
    done.check_returncode()


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
    from mlflow import MlflowClient

    MlflowClient(address).set_terminated(note.read_text(encoding="utf-8"), status)


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


def _parent(client: "MlflowClient", experiment: str, *, invocation: str, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{invocation}.txt"
    with FileLock(folder / f"{invocation}.lock"):
        if not note.is_file():
            run = client.create_run(experiment, run_name=f"workflow {invocation}")
            note.write_text(run.info.run_id, encoding="utf-8")
    return note.read_text(encoding="utf-8")


def _open_run(client: "MlflowClient", experiment: str, *, job: JobIdentity, parent: str) -> str:
    from mlflow.entities import Param

    tries = client.search_runs([experiment], f"tags.`gram.key` = '{job.key}'")
    for run in tries:
        if run.info.status not in {"RUNNING", "KILLED"}:
            continue
        if run.data.tags.get("gram.settings") == job.settings:
            client.update_run(run.info.run_id, status="RUNNING")
            client.set_tag(run.info.run_id, "mlflow.parentRunId", parent)
            return str(run.info.run_id)
        client.set_terminated(run.info.run_id, "KILLED")
    tags = {**job.tags, "gram.key": job.key, "gram.settings": job.settings}
    run = client.create_run(
        experiment, tags={**tags, "mlflow.parentRunId": parent}, run_name=job.key
    )
    params = [Param(key, value[:6000]) for key, value in job.params.items()]
    client.log_batch(run.info.run_id, params=params)
    return str(run.info.run_id)


def _supersede(client: "MlflowClient", experiment: str, *, job: JobIdentity, run_id: str) -> None:
    current = f"tags.`gram.key` = '{job.key}' and tags.`gram.state` = 'current'"
    for run in client.search_runs([experiment], current):
        client.set_tag(run.info.run_id, "gram.state", "superseded")
        client.set_tag(run.info.run_id, "gram.superseded_by", run_id)
    client.set_tag(run_id, "gram.state", "current")


def _is_sqlite(address: str) -> bool:
    return address.startswith("sqlite:")


def _database(address: str) -> Path:
    return Path(address.removeprefix("sqlite:///")).absolute()


def _metric_name(name: str) -> str:
    """Replace what MLflow does not take in a name, such as the @ of R@1."""
    return name.replace("@", "_at_")
