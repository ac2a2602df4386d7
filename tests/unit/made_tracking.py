"""A tracking database for the tests of tracking, and what it holds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from gram.tracking import JobIdentity, Tracker, make_database, tracked_job


@dataclass(frozen=True)
class Tracking:
    """A database, and what it holds."""

    address: str
    folder: Path
    client: MlflowClient

    @contextmanager
    def job(
        self,
        key: str,
        *,
        settings: str = "{}",
        invocation: str = "first",
        unsent: Path | None = None,
        **facts: Mapping[str, str],
    ) -> Iterator[Tracker]:
        """Track a job."""
        identity = JobIdentity(
            key=key, settings=settings, params=facts.get("params", {}), tags=facts.get("tags", {})
        )
        with tracked_job(
            identity,
            address=self.address,
            invocation=invocation,
            folder=self.folder,
            unsent=unsent,
        ) as tracker:
            yield tracker

    def end(self, key: str, error: BaseException | None = None, **facts: Any) -> None:  # noqa: ANN401 - they are passed on
        """Track a job that ends, well or by an error."""
        try:
            with self.job(key, **facts):
                if error is not None:
                    raise error
        except (SystemExit, KeyboardInterrupt, ValueError):
            assert error is not None

    def cut_off(self, key: str, **facts: Any) -> None:  # noqa: ANN401 - they are passed on
        """Leave the run of a job as a process does that is killed: nobody closes it."""
        self.end(key, SystemExit(143), **facts)
        self.client.update_run(self.run(key).info.run_id, status="RUNNING")

    def runs(self, key: str) -> list[Run]:
        """Give the runs of a job, the oldest first."""
        (experiment,) = self.client.search_experiments(filter_string="name = 'gram'")
        found = self.client.search_runs(
            [experiment.experiment_id],
            f"tags.`gram.key` = '{key}'",
            order_by=["attributes.start_time ASC"],
        )
        return list(found)

    def run(self, key: str) -> Run:
        """Give the one run of a job."""
        (found,) = self.runs(key)
        return found

    def parent(self, run: Run) -> Run:
        """Give the parent of a run."""
        return self.client.get_run(run.data.tags["mlflow.parentRunId"])

    def states(self, key: str) -> list[str | None]:
        """Give what stands in ``gram.state`` of the runs of a job."""
        return [run.data.tags.get("gram.state") for run in self.runs(key)]

    def statuses(self, key: str) -> list[str]:
        """Give the statuses of the runs of a job."""
        return [run.info.status for run in self.runs(key)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make one database for all tests of this file, which takes MLflow seconds."""
    address = f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'made' / 'mlflow.db'}"
    make_database(address)
    return address


@pytest.fixture
def tracking(database: str, tmp_path: Path) -> Tracking:
    return Tracking(database, tmp_path / "parents", MlflowClient(database))
