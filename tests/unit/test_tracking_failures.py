"""Tracking where something fails, and where several projects share a server."""

import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gram.tracking import (
    JobIdentity,
    Tracker,
    default_address,
    finish_invocation,
    make_database,
    tracked_job,
    tracker_of_run,
    without_password,
)
from gram.tracking.database import limit_patience
from tests.unit.made_tracking import Tracking, database, tracking

__all__ = ["database", "tracking"]


# --- the database -----------------------------------------------------------------------------


def stand_in_for_mlflow(monkeypatch: pytest.MonkeyPatch, *, status: int = 0) -> list[Sequence[str]]:
    """Let another function set databases up, slowly; give the list of its calls."""
    calls: list[Sequence[str]] = []

    def upgrade(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        time.sleep(0.1)
        Path(command[-1].removeprefix("sqlite:///")).touch()
        return subprocess.CompletedProcess(command, status, "", "")

    monkeypatch.setattr("gram.tracking.database.subprocess.run", upgrade)
    return calls


def test_jobs_that_begin_at_once_make_one_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in_for_mlflow(monkeypatch)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(make_database, [f"sqlite:///{tmp_path / 'mlflow.db'}"] * 3))
    assert len(calls) == 1


def test_a_database_that_was_deleted_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in_for_mlflow(monkeypatch)
    for _ in range(2):
        make_database(f"sqlite:///{tmp_path / 'mlflow.db'}")
        (tmp_path / "mlflow.db").unlink()
    assert len(calls) == 2


def test_a_database_that_cannot_be_set_up_is_not_left_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_mlflow(monkeypatch, status=1)
    with pytest.raises(subprocess.CalledProcessError):
        make_database(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]


def test_jobs_are_tracked_beside_their_results_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_address() == f"sqlite:///{tmp_path / 'results/mlflow.db'}"


# --- MLflow fails -----------------------------------------------------------------------------


UNREACHABLE = "http://anna:secret@127.0.0.1:9"


def refuse(*_: object, **__: object) -> None:
    raise MlflowException("the database is locked")


@pytest.fixture
def no_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow's client give up at once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def unreachable(folder: Path) -> Tracking:
    return Tracking(UNREACHABLE, folder / "parents", MlflowClient(UNREACHABLE))


@pytest.mark.usefixtures("no_tries")
def test_a_job_that_cannot_be_tracked_goes_on(tmp_path: Path) -> None:
    with unreachable(tmp_path).job("goes on") as tracker:
        tracker.metrics({"loss": 1.0})
    assert tracker.address_of_run() is None


def test_a_server_that_does_not_answer_is_given_up_after_seconds() -> None:
    environment = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    limit_patience(environment)
    assert environment == {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    }


@pytest.mark.usefixtures("no_tries")
def test_a_job_that_cannot_be_tracked_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable(tmp_path).end("says so")
    (message,) = [one for one in caplog.messages if "goes on without it" in one]
    assert message.startswith("tracking at http://127.0.0.1:9 failed")
    assert "Check that the address in MLFLOW_TRACKING_URI can be reached" in message


@pytest.mark.usefixtures("no_tries")
def test_no_password_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unreachable(tmp_path).end("password")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("gram")]
    assert ours
    assert [message for message in ours if "secret" in message or "anna" in message] == []


@pytest.mark.usefixtures("no_tries")
def test_a_workflow_whose_parent_cannot_be_closed_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "first.txt").write_text("0" * 32, encoding="utf-8")
    finish_invocation(address=UNREACHABLE, invocation="first", folder=tmp_path, status="FINISHED")
    assert "tracking at http://127.0.0.1:9 failed" in caplog.text


def test_a_job_whose_database_cannot_be_made_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_mlflow(monkeypatch, status=1)
    job = JobIdentity(key="job", settings="{}", params={}, tags={})
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with tracked_job(job, address=address, invocation="first", folder=tmp_path) as tracker:
        assert tracker.address_of_run() is None


def test_numbers_that_are_not_taken_end_no_job(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    with tracking.job("not taken") as tracker:
        for step in range(1200):
            tracker.metrics({"loss": 1.0}, step=step)
    assert tracking.run("not taken").info.status == "FINISHED"


def test_numbers_that_are_not_taken_are_counted_and_said_once(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    with tracking.job("counted") as tracker:
        for step in range(1200):
            tracker.metrics({"loss": 1.0}, step=step)
        tracker.artifact(Path("table.md"))
    said = [
        record.getMessage() for record in caplog.records if record.name.startswith("gram.tracking")
    ]
    assert ["goes on without it" in message for message in said] == [True, False]
    assert said[1] == "1201 numbers and files of this job were not tracked"


def test_a_file_that_is_not_there_ends_no_job(tracking: Tracking) -> None:
    with tracking.job("no file") as tracker:
        tracker.artifact(Path("nowhere/table.md"))
    assert tracking.run("no file").info.status == "FINISHED"


def test_the_error_of_a_job_is_not_hidden_by_one_of_mlflow(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        with tracking.job("own error") as tracker:
            tracker.metrics({"loss": 1.0})
            raise ValueError("no clip is left")

    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    with pytest.raises(ValueError, match="no clip is left"):
        fail()
    assert tracking.run("own error").info.status == "FAILED"


def test_a_run_that_cannot_be_closed_ends_no_job(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowClient, "set_terminated", refuse)
    tracking.end("not closed")
    assert tracking.run("not closed").info.status == "RUNNING"


# --- numbers that are kept --------------------------------------------------------------------


def losses_of(tracking: Tracking, key: str) -> list[tuple[int, float]]:
    """Give the steps and losses that stand in the run of a job."""
    history = tracking.client.get_metric_history(tracking.run(key).info.run_id, "loss")
    return sorted((one.step, one.value) for one in history)


def tell(tracking: Tracking, key: str, steps: Sequence[int], *, unsent: Path) -> None:
    with tracking.job(key, unsent=unsent) as tracker:
        for step in steps:
            tracker.metrics({"loss": step / 10}, step=step)


@pytest.mark.usefixtures("no_tries")
def test_numbers_of_a_job_that_reached_nobody_are_sent_by_its_next_try(
    tracking: Tracking, tmp_path: Path
) -> None:
    unsent = tmp_path / "run" / "last.unsent.jsonl"
    tell(unreachable(tmp_path), "reached nobody", [1, 2], unsent=unsent)
    assert unsent.is_file()
    tell(tracking, "reached nobody", [3], unsent=unsent)
    assert losses_of(tracking, "reached nobody") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert not unsent.exists()


def test_numbers_that_are_not_taken_are_sent_at_the_end(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent = tmp_path / "last.unsent.jsonl"
    with monkeypatch.context() as patch, tracking.job("late", unsent=unsent) as tracker:
        patch.setattr(MlflowClient, "log_batch", refuse)
        tracker.metrics({"loss": 0.5}, step=5)
        tracker.settle()
        assert unsent.is_file()
        patch.undo()
    assert losses_of(tracking, "late") == [(5, 0.5)]
    assert not unsent.exists()


def test_numbers_that_are_never_taken_are_kept_and_told_of(
    tracking: Tracking,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unsent = tmp_path / "last.unsent.jsonl"
    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    tell(tracking, "never", [1, 2, 3], unsent=unsent)
    assert len(unsent.read_text(encoding="utf-8").splitlines()) == 3
    assert (
        f"3 numbers and files of this job were not tracked; they are kept in {unsent}"
        in caplog.text
    )
    assert [text.startswith("tracking at") for text in caplog.messages].count(True) == 1


def test_a_line_that_a_killed_job_left_half_written_is_left_out(
    tracking: Tracking, tmp_path: Path
) -> None:
    unsent = tmp_path / "last.unsent.jsonl"
    unsent.write_text('["number", "loss", 0.1, 1, 1]\n["number", "loss", 0.2', encoding="utf-8")
    tell(tracking, "half", [3], unsent=unsent)
    assert losses_of(tracking, "half") == [(1, 0.1), (3, 0.3)]


def test_another_process_tells_of_the_same_run(tracking: Tracking) -> None:
    with tracking.job("two processes") as tracker, tracker_of_run(tracker.address_of_run()) as two:
        two.metrics({"loss": 0.7}, step=7)
    assert losses_of(tracking, "two processes") == [(7, 0.7)]
    assert tracking.statuses("two processes") == ["FINISHED"]


def test_of_an_untracked_job_another_process_tells_nobody() -> None:
    with tracker_of_run(Tracker().address_of_run()) as tracker:
        assert tracker.address_of_run() is None


@pytest.mark.usefixtures("no_tries")
def test_facts_files_and_models_of_a_job_that_reached_nobody_are_sent_by_its_next_try(
    tracking: Tracking, tmp_path: Path
) -> None:
    unsent, told = tmp_path / "last.unsent.jsonl", tmp_path / "last.json"
    told.write_text("steps 7", encoding="utf-8")
    with unreachable(tmp_path).job("train late", unsent=unsent) as tracker:
        tracker.tags({"gram.clips": "used 5"})
        tracker.artifact(told, folder="checkpoint")
        tracker.register("checkpoint", sha256="5" * 64)
    tracking.end("train late", unsent=unsent)
    assert tracking.run("train late").data.tags["gram.clips"] == "used 5"
    assert read_artifact(tracking, "train late", "checkpoint/last.json") == "steps 7"
    (version,) = tracking.client.search_model_versions("name = 'gram-late'")
    assert version.tags == {"gram.sha256": "5" * 64}


def test_what_was_sent_is_not_sent_again_when_the_rest_fails(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent = tmp_path / "last.unsent.jsonl"
    unsent.write_text('["number", "loss", 0.1, 1, 1]\n["fact", "a", "b"]\n', encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_tag", refuse)
        tracking.end("half sent", unsent=unsent)
    assert unsent.read_text(encoding="utf-8") == '["fact", "a", "b"]\n'
    assert losses_of(tracking, "half sent") == [(1, 0.1)]


def read_artifact(tracking: Tracking, key: str, path: str) -> str:
    """Read a file of the run of a job, where MLflow keeps it."""
    kept = tracking.client.download_artifacts(tracking.run(key).info.run_id, path)
    return Path(kept).read_text(encoding="utf-8")


# --- several projects on one server -----------------------------------------------------------


def of_another_clone(tracking: Tracking, folder: Path) -> Tracking:
    return Tracking(tracking.address, folder / "another clone", tracking.client)


def test_the_run_of_another_clone_is_not_taken_over(tracking: Tracking, tmp_path: Path) -> None:
    tracking.end("in two clones", SystemExit(143))
    of_another_clone(tracking, tmp_path).end("in two clones")
    assert tracking.statuses("in two clones") == ["KILLED", "FINISHED"]


def test_the_run_of_another_clone_stays_current(tracking: Tracking, tmp_path: Path) -> None:
    tracking.end("current twice")
    of_another_clone(tracking, tmp_path).end("current twice")
    assert tracking.states("current twice") == ["current", "current"]


def test_the_id_of_a_project_is_kept(tracking: Tracking) -> None:
    for key in ("first of project", "second of project"):
        tracking.end(key)
    ids = {
        tracking.run(f"{name} of project").data.tags["gram.project"] for name in ("first", "second")
    }
    assert ids == {(tracking.folder / "project.txt").read_text(encoding="utf-8")}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://anna:secret@host:5000/x", "http://host:5000/x"),
        ("http://anna:p@ss@host/a@b", "http://host/a@b"),
        ("postgresql://anna@host/db", "postgresql://host/db"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////somewhere/mlflow.db", "sqlite:////somewhere/mlflow.db"),
    ],
    ids=["password", "at_sign", "user", "none", "file"],
)
def test_an_address_is_shown_without_user_and_password(text: str, shown: str) -> None:
    assert without_password(text) == shown
