"""The lease beside an output: who holds it, who may take it over, what is said otherwise."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gram import lease
from gram.lease import Holder, TakenError, held, lease_of, living_holder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that lives until the test is over."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def leave(output: Path, process: int, *, host: str = "", job: str | None = None) -> None:
    """Write a lease as another job does."""
    here = os.uname().nodename
    holder = Holder(host=host or here, process=process, job=job, since="2026-01-02 03:04:05")
    lease_of(output).write_text(holder.model_dump_json(), encoding="utf-8")


def test_a_lease_names_its_holder_as_long_as_it_is_held(output: Path) -> None:
    with held(output):
        holder = living_holder(output)
    assert holder is not None
    assert holder.process == os.getpid()


def test_nothing_is_left_of_a_lease_that_has_ended(output: Path) -> None:
    with held(output):
        pass
    assert list(output.parent.iterdir()) == []


def test_nothing_is_left_of_a_lease_whose_job_fails(output: Path) -> None:
    with pytest.raises(ValueError, match="broken"), held(output):
        raise ValueError("broken")
    assert list(output.parent.iterdir()) == []


def test_the_lease_of_a_process_that_is_gone_is_taken_over(
    output: Path, other: subprocess.Popen[bytes]
) -> None:
    other.kill()
    other.wait()
    leave(output, other.pid)
    with held(output):
        assert living_holder(output) is not None


def test_a_living_process_keeps_its_lease(
    output: Path, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 0.0)
    leave(output, other.pid)
    said = (
        f"{output} is being made by process {other.pid} on {os.uname().nodename} since 2026-01-02 "
        "03:04:05\nprobably for a workflow that was killed; wait until it is done, or end it "
        f"(kill {other.pid}), then start again"
    )
    with pytest.raises(TakenError, match=re.escape(said)), held(output):
        pass
    assert living_holder(output) is not None


def test_a_holder_on_another_machine_is_silent_when_it_is_dead(output: Path) -> None:
    leave(output, 1, host="elsewhere")
    assert living_holder(output) is not None
    long_ago = time.time() - lease.SILENT_SECONDS - 1
    os.utime(lease_of(output), (long_ago, long_ago))
    assert living_holder(output) is None


def test_a_job_gives_signs_of_life(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with held(output):
        os.utime(lease_of(output), (0, 0))
        limit = time.monotonic() + 60
        while lease_of(output).stat().st_mtime == 0:
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_a_job_that_slurm_started_again_takes_its_own_lease_over(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    leave(output, 1, host="lost", job="12")
    assert living_holder(output) is None


def test_a_job_of_slurm_is_taken_for_alive_where_slurm_cannot_be_asked(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(output.parent))
    leave(output, 1, job="12")
    holder = living_holder(output)
    assert holder is not None
    assert (holder.name, holder.end_command) == ("Slurm job 12", "scancel 12")


def test_a_torn_lease_is_none(output: Path) -> None:
    lease_of(output).write_text('{"host": "he', encoding="utf-8")
    assert living_holder(output) is None
