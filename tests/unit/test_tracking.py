"""Tracking, against MLflow on a SQLite file: one run a job, under one parent a start."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gram.tracking import (
    JobIdentity,
    Tracker,
    finish_invocation,
    make_database,
    tracked_job,
)
from tests.unit.made_tracking import Tracking, database, tracking

__all__ = ["database", "tracking"]

ROOT = Path(__file__).parents[2]

LONG = json.dumps({"rows": ["a line of a long table"] * 1000})
"""Settings of a job, longer than what MLflow keeps of a tag."""


# --- one job ----------------------------------------------------------------------------------


def test_a_job_that_ends_well_is_finished(tracking: Tracking) -> None:
    tracking.end("well")
    assert tracking.run("well").info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no clip is left"), "FAILED"),
        (SystemExit(143), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
    ids=["an_error", "a_signal", "control_c"],
)
def test_a_job_that_does_not_end_well_says_how(
    tracking: Tracking, error: BaseException, status: str
) -> None:
    key = f"ends by {type(error).__name__}"
    tracking.end(key, error)
    assert tracking.run(key).info.status == status


def test_the_error_of_a_job_goes_up(tracking: Tracking) -> None:
    with pytest.raises(ValueError, match="no clip is left"), tracking.job("goes up"):
        raise ValueError("no clip is left")


def test_a_run_is_named_as_its_job(tracking: Tracking) -> None:
    tracking.end("pretrain_model named")
    assert tracking.run("pretrain_model named").info.run_name == "pretrain_model named"


def test_a_run_has_settings_and_tags(tracking: Tracking) -> None:
    params, tags = {"loss.temperature": "0.07"}, {"gram.rule": "pretrain_model"}
    tracking.end("told", settings='{"a": 1}', params=params, tags=tags)
    data = tracking.run("told").data
    assert data.params == params
    assert (data.tags["gram.rule"], data.tags["gram.settings"]) == ("pretrain_model", '{"a": 1}')


def test_a_long_setting_is_cut(tracking: Tracking) -> None:
    tracking.end("long", params={"table.rows": "x" * 20_000})
    assert set(tracking.run("long").data.params["table.rows"]) == {"x"}


def test_more_settings_than_a_batch_takes_are_all_sent(tracking: Tracking) -> None:
    tracking.end("many", params={f"setting{number}": "1" for number in range(250)})
    assert len(tracking.run("many").data.params) == 250


def test_numbers_have_their_steps(tracking: Tracking) -> None:
    with tracking.job("steps") as tracker:
        for step in (10, 20):
            tracker.metrics({"loss": 1 / step}, step=step)
    run_id = tracking.run("steps").info.run_id
    history = tracking.client.get_metric_history(run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(10, 0.1), (20, 0.05)]


def test_a_name_that_mlflow_does_not_take_is_written_out(tracking: Tracking) -> None:
    with tracking.job("recall") as tracker:
        tracker.metrics({"text_to_item/R@1": 40.0})
    assert tracking.run("recall").data.metrics == {"text_to_item/R_at_1": 40.0}


def test_more_numbers_than_are_held_back_are_all_sent(tracking: Tracking) -> None:
    with tracking.job("numbers") as tracker:
        for step in range(1100):
            tracker.metrics({"loss": float(step)}, step=step)
    run_id = tracking.run("numbers").info.run_id
    assert len(tracking.client.get_metric_history(run_id, "loss")) == 1100


def test_many_numbers_of_one_step_are_all_sent(tracking: Tracking) -> None:
    with tracking.job("wide") as tracker:
        tracker.metrics({f"score{number}": 1.0 for number in range(1300)})
    assert len(tracking.run("wide").data.metrics) == 1300


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_ends_no_job(tracking: Tracking, value: float) -> None:
    key = f"not finite {value}"
    with tracking.job(key) as tracker:
        tracker.metrics({"loss": value})
    assert tracking.run(key).info.status == "FINISHED"


def test_the_numbers_of_a_failed_job_are_there(tracking: Tracking) -> None:
    def fail() -> None:
        with tracking.job("failed numbers") as tracker:
            tracker.metrics({"loss": 2.0}, step=3)
            raise ValueError("no clip is left")

    with pytest.raises(ValueError, match="no clip is left"):
        fail()
    assert tracking.run("failed numbers").data.metrics == {"loss": 2.0}


def test_files_lie_beside_the_database(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "table.md").write_text("R@1", encoding="utf-8")
    with tracking.job("file") as tracker:
        tracker.artifact(tmp_path / "table.md")
    beside = Path(tracking.address.removeprefix("sqlite:///")).parent
    assert [path.read_text(encoding="utf-8") for path in beside.rglob("table.md")] == ["R@1"]


# --- parents ----------------------------------------------------------------------------------


def test_a_start_of_the_workflow_is_the_parent_of_its_jobs(tracking: Tracking) -> None:
    for key in ("child one", "child two"):
        tracking.end(key, invocation="20260101-120000-7")
    parents = [tracking.parent(tracking.run(key)) for key in ("child one", "child two")]
    assert parents[0].info.run_id == parents[1].info.run_id
    assert parents[0].info.run_name == "workflow 20260101-120000-7"


def test_another_start_is_another_parent(tracking: Tracking) -> None:
    tracking.end("of start a", invocation="a")
    tracking.end("of start b", invocation="b")
    parents = {tracking.parent(tracking.run(f"of start {name}")).info.run_id for name in "ab"}
    assert len(parents) == 2


def test_jobs_that_begin_at_once_have_one_parent(tracking: Tracking) -> None:
    keys = [f"at once {number}" for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tracking.end, keys))
    parents = {tracking.parent(tracking.run(key)).info.run_id for key in keys}
    assert len(parents) == 1


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_the_parent_ends_with_the_workflow(tracking: Tracking, status: str) -> None:
    key = f"of a workflow that is {status}"
    tracking.end(key)
    before = tracking.parent(tracking.run(key)).info.status
    finish_invocation(
        address=tracking.address, invocation="first", folder=tracking.folder, status=status
    )
    after = tracking.parent(tracking.run(key)).info.status
    assert (before, after) == ("RUNNING", status)


def test_a_workflow_without_tracked_jobs_ends_quietly(tracking: Tracking) -> None:
    finish_invocation(
        address=tracking.address, invocation="none", folder=tracking.folder, status="FINISHED"
    )
    assert not tracking.folder.exists()


# --- tried again ------------------------------------------------------------------------------


def test_a_run_that_was_cut_off_is_gone_on_with(tracking: Tracking) -> None:
    tracking.cut_off("cut again", settings='{"a": 1}')
    before = tracking.run("cut again")
    tracking.end("cut again", settings='{"a": 1}')
    after = tracking.run("cut again")
    assert (before.info.status, after.info.status) == ("RUNNING", "FINISHED")
    assert before.info.run_id == after.info.run_id


def test_a_run_that_was_cut_off_with_other_settings_is_closed(tracking: Tracking) -> None:
    tracking.cut_off("cut other", settings='{"a": 1}')
    tracking.end("cut other", settings='{"a": 2}')
    assert tracking.statuses("cut other") == ["KILLED", "FINISHED"]


def test_a_run_that_is_gone_on_with_has_the_newest_parent(tracking: Tracking) -> None:
    tracking.cut_off("cut moved")
    tracking.end("cut moved", invocation="second try")
    parent = tracking.parent(tracking.run("cut moved"))
    assert parent.info.run_name == "workflow second try"


def test_a_killed_job_goes_on_with_its_run(tracking: Tracking) -> None:
    tracking.end("killed", SystemExit(143))
    tracking.end("killed")
    assert tracking.statuses("killed") == ["FINISHED"]


def test_a_job_with_long_settings_goes_on_with_its_run(tracking: Tracking) -> None:
    tracking.end("long settings", SystemExit(143), settings=LONG)
    tracking.end("long settings", settings=LONG)
    assert tracking.statuses("long settings") == ["FINISHED"]


def test_a_run_is_running_while_it_is_gone_on_with(tracking: Tracking) -> None:
    tracking.end("running", SystemExit(143))
    with tracking.job("running"):
        assert tracking.run("running").info.status == "RUNNING"


def test_a_failed_job_goes_on_with_its_run(tracking: Tracking) -> None:
    tracking.end("failed", ValueError("no clip is left"))
    tracking.end("failed")
    assert tracking.statuses("failed") == ["FINISHED"]


def test_a_failed_job_with_other_settings_gets_a_new_run(tracking: Tracking) -> None:
    tracking.end("failed other", ValueError("no clip is left"), settings='{"a": 1}')
    tracking.end("failed other", settings='{"a": 2}')
    assert tracking.statuses("failed other") == ["FAILED", "FINISHED"]


def test_runs_of_processes_that_are_gone_are_closed_by_the_next_start(tracking: Tracking) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for key in ("gone", "alive"):
        tracking.cut_off(key)
    client, host = tracking.client, socket.gethostname()
    client.set_tag(tracking.run("gone").info.run_id, "gram.process", f"{host}:{gone.pid}")
    tracking.end("of the next start", invocation="next")
    assert tracking.statuses("gone") == ["KILLED"]
    assert tracking.statuses("alive") == ["RUNNING"]


def test_the_last_good_run_is_the_current_one(tracking: Tracking) -> None:
    tracking.end("again", settings='{"a": 1}')
    tracking.end("again", settings='{"a": 2}')
    assert tracking.states("again") == ["superseded", "current"]


def test_a_superseded_run_names_the_one_that_counts(tracking: Tracking) -> None:
    tracking.end("named")
    tracking.end("named")
    first, second = tracking.runs("named")
    assert first.data.tags["gram.superseded_by"] == second.info.run_id


def test_a_failed_job_supersedes_nothing(tracking: Tracking) -> None:
    tracking.end("good, then bad")
    tracking.end("good, then bad", ValueError("no clip is left"))
    assert tracking.states("good, then bad") == ["current", None]


def test_the_runs_of_other_jobs_stay_current(tracking: Tracking) -> None:
    tracking.end("neighbor one")
    tracking.end("neighbor two")
    assert tracking.states("neighbor one") == ["current"]


# --- nobody tracks ----------------------------------------------------------------------------


def test_without_an_address_nothing_is_kept(tmp_path: Path) -> None:
    job = JobIdentity(key="job", settings="{}", params={}, tags={})
    with tracked_job(job, address="", invocation="first", folder=tmp_path / "parents") as tracker:
        tracker.metrics({"loss": 1.0}, step=1)
        tracker.artifact(tmp_path / "table.md")
    assert tracker.address_of_run() is None
    assert list(tmp_path.iterdir()) == []


SILENT = """
import sys
from pathlib import Path
from gram.tracking import *

job = JobIdentity(key="job", settings="{}", params={}, tags={})
with tracked_job(job, address="", invocation="first", folder=Path("parents")) as tracker:
    tracker.metrics({"loss": 1.0})
finish_invocation(address="", invocation="first", folder=Path("parents"), status="FINISHED")
make_database("")
print("mlflow" in sys.modules)
"""


def test_without_an_address_mlflow_is_not_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SILENT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("address", ["", "http://tracking:5000"], ids=["none", "server"])
def test_only_a_sqlite_file_is_made(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_database(address)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_the_database_is_made(database: str) -> None:
    assert Path(database.removeprefix("sqlite:///")).is_file()


def test_silence_takes_everything() -> None:
    values: Mapping[str, float] = {"loss": 1.0}
    tracker: Tracker = Tracker()
    tracker.metrics(values)
    tracker.artifact(Path("nowhere"))
    tracker.flush()
    assert not Path("nowhere").exists()
