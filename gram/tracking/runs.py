"""Runs in MLflow: one a job, gone on with by the next try, under one parent a workflow start."""

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from gram.files import write_text
from gram.tracking.database import (
    database_of,
    failures_to_open,
    is_sqlite,
    limit_patience,
    make_database,
    warn,
)
from gram.tracking.tracker import FileSink, MlflowSink, Tracker
from gram.tracking.unsent import Unsent

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EXPERIMENT = "gram"


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


@contextmanager
def tracked_job(
    job: JobIdentity, *, address: str, invocation: str, folder: Path, unsent: Path | None = None
) -> Iterator[Tracker]:
    """Open the run of a job, and close it as finished, failed or killed.

    A run of the same job with the same settings that did not end well is gone on with; one that
    was cut off with other settings is closed as killed. When the job ends well, earlier
    finished runs of the same job are marked as superseded. Only runs of this project count: one
    server may take the runs of several clones.

    If MLflow cannot be used, the log says so once, and the job goes on. What it tells is kept then,
    and sent when it ends, or when its next try does.

    Args:
        job: Who the job is.
        address: MLflow's address; empty: nothing is tracked.
        invocation: Name of this start of the workflow, the parent of its jobs.
        folder: Where the project's id and the parents' run ids are kept.
        unsent: File for what MLflow does not take; None: that is lost, and counted.
    """
    if not address:
        yield Tracker()
        return
    kept = None if unsent is None else Unsent(unsent)
    opened: _OpenRun | None = None
    tracker = Tracker(None if kept is None else FileSink(kept, address=address))
    try:
        opened = _OpenRun.of_job(
            job, address=address, invocation=invocation, folder=folder, kept=kept
        )
        tracker = Tracker(opened.sink)
    except failures_to_open() as error:
        warn(error, address=address)
    status = "FINISHED"
    try:
        yield tracker
    except BaseException as error:
        status = "KILLED" if isinstance(error, (SystemExit, KeyboardInterrupt)) else "FAILED"
        raise
    finally:
        if opened is None and kept is not None and kept.read():  # MLflow may be back
            try:
                opened = _OpenRun.of_job(
                    job, address=address, invocation=invocation, folder=folder, kept=kept
                )
            except failures_to_open():
                kept.warn()
        if opened is not None:
            before = opened.supersede if status == "FINISHED" else None
            opened.sink.close(status, before=before)


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
    except failures_to_open() as error:
        warn(error, address=address)


@dataclass(frozen=True, kw_only=True)
class _OpenRun:
    """The run of a job in MLflow, with what is needed to find the other runs of the job.

    Attributes:
        sink: Takes what the job tells.
        client: MLflow's client.
        experiment: Id of the experiment.
        run_id: Id of the run.
        same_job: Filter for all runs of the job in this project.
    """

    sink: MlflowSink
    client: "MlflowClient"
    experiment: str
    run_id: str
    same_job: str

    @classmethod
    def of_job(
        cls,
        job: JobIdentity,
        *,
        address: str,
        invocation: str,
        folder: Path,
        kept: Unsent | None,
    ) -> "_OpenRun":
        """Go on with the run of a job that did not end well, or make one."""
        make_database(address)
        limit_patience(os.environ)
        from mlflow import MlflowClient

        client = MlflowClient(address)
        experiment = _experiment(client, address)
        project = _project(folder)
        same_job = f"tags.`gram.key` = '{job.key}' and tags.`gram.project` = '{project}'"
        own = {"gram.project": project, "gram.process": _process()}
        parent = _parent(client, experiment, invocation=invocation, folder=folder, tags=own)
        run_id = _cut_off_run(client, experiment, same_job=same_job, settings=job.settings)
        tags = {
            **job.tags,
            **own,
            "gram.key": job.key,
            "gram.settings": job.settings,
            "mlflow.parentRunId": parent,
        }
        is_new = run_id is None
        if run_id is None:
            run_id = client.create_run(experiment, tags=tags, run_name=job.key).info.run_id
        else:
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, "gram.process", own["gram.process"])
            client.set_tag(run_id, "mlflow.parentRunId", parent)
        sink = MlflowSink(client, run_id, address=address, unsent=kept)
        if is_new:
            Tracker(sink).params(job.params)
        return cls(
            sink=sink,
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


def _experiment(client: "MlflowClient", address: str) -> str:
    """Find or make the experiment; beside a SQLite file it keeps its artifacts there too."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            artifacts = database_of(address).with_name("mlflow_artifacts").as_uri()
            location = artifacts if is_sqlite(address) else None
            return str(client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException:  # another job made it in between
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return str(found.experiment_id)


def _project(folder: Path) -> str:
    """Give the id of this project folder, drawn once and kept in a file."""
    return _kept(folder / "project.txt", lambda: str(uuid.uuid4()))


def _parent(
    client: "MlflowClient",
    experiment: str,
    *,
    invocation: str,
    folder: Path,
    tags: Mapping[str, str],
) -> str:
    """Give the parent of a start of the workflow; its first job makes it, and closes what is left.

    Its process is that of Snakemake, whose number ends the name of the start.
    """
    number = invocation.rpartition("-")[2]
    process = _process(int(number)) if number.isdecimal() else tags["gram.process"]

    def make() -> str:
        _close_left(client, experiment, project=tags["gram.project"])
        run = client.create_run(
            experiment,
            run_name=f"workflow {invocation}",
            tags={**tags, "gram.process": process},
        )
        return str(run.info.run_id)

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
    """Find the run of a job that did not end well with these settings; close those with others."""
    for run in client.search_runs([experiment], same_job):
        if run.info.status == "FINISHED":
            continue
        if run.data.tags.get("gram.settings") == settings:
            return str(run.info.run_id)
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
    return None


def _close_left(client: "MlflowClient", experiment: str, *, project: str) -> None:
    """Close the runs of this project whose process on this machine is gone: it was killed."""
    running = f"tags.`gram.project` = '{project}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], running):
        host, _, number = run.data.tags.get("gram.process", "").rpartition(":")
        if host == socket.gethostname() and not _is_alive(int(number)):
            client.set_terminated(run.info.run_id, "KILLED")


def _process(number: int | None = None) -> str:
    """Name a process of this machine; this one, if none is given."""
    return f"{socket.gethostname()}:{os.getpid() if number is None else number}"


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
