"""What `gram.slurm` asks of Slurm, asked of a real one."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gram.lease import Holder, lease_of, living_holder
from gram.slurm import SlurmError, end_of_job, is_active, requeue
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm

LIMIT_SECONDS = 60


@pytest.fixture(autouse=True)
def _slurm(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def job(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """Give a job of an hour that runs."""
    command = ["sbatch", "--parsable", "--time=60", f"--chdir={tmp_path}", "--wrap=sleep 3600"]
    number = cluster.run(*command)
    wait_for(cluster, number, "RUNNING")
    yield number
    cluster.run("scancel", number)


def wait_for(cluster: Cluster, number: str, state: str) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while cluster.run("squeue", "--noheader", f"--jobs={number}", "--format=%T") != state:
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_running_job_says_when_it_ends(job: str) -> None:
    end = end_of_job(job)
    assert end is not None
    left = end - datetime.now()
    assert timedelta(minutes=50) < left <= timedelta(minutes=60)


def test_a_job_is_active_until_it_is_cancelled(job: str, cluster: Cluster) -> None:
    assert is_active(job)
    cluster.run("scancel", job)
    wait_for(cluster, job, "")
    assert not is_active(job)


def test_a_job_that_slurm_never_saw_is_not_active() -> None:
    assert not is_active("999999")


def test_a_job_that_is_requeued_starts_again_under_its_number(job: str, cluster: Cluster) -> None:
    requeue(job)
    wait_for(cluster, job, "PENDING")
    wait_for(cluster, job, "RUNNING")


def test_what_slurm_refuses_is_said() -> None:
    with pytest.raises(SlurmError, match="scontrol requeue 999999: Invalid job id"):
        requeue("999999")


def test_the_lease_of_a_job_lives_as_long_as_the_job(
    job: str, cluster: Cluster, tmp_path: Path
) -> None:
    output = tmp_path / "table.parquet"
    holder = Holder(host="elsewhere", process=1, job=job, since="today")
    lease_of(output).write_text(holder.model_dump_json(), encoding="utf-8")
    assert living_holder(output) == holder
    cluster.run("scancel", job)
    wait_for(cluster, job, "")
    assert living_holder(output) is None
