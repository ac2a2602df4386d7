"""Trainings that MLflow tracks, on a SQLite file, on a server that goes away, and on none."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gram.files import sha256_of
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.training import loop
from gram.training.stopping import STOPPED_EXIT_CODE
from gram.types import ITEM_MODALITIES
from tests.unit.made_tracking import Tracking, database, tracking
from tests.unit.training.forked import newest_step, started

__all__ = ["database", "tracking"]

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]

LIMIT_SECONDS = 120
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def settings(make_settings: MakeSettings) -> TrainSettings:
    return make_settings(modalities=ITEM_MODALITIES, steps=12)


def track(
    tracking: Tracking, key: str, run: Train, settings: TrainSettings, **means: int | str
) -> Path:
    """Train as a job does, what is not sent beside the output; give the folder of the output."""
    folder = str(means.pop("folder", "run"))
    unsent = tracking.folder.parent / folder / "last.unsent.jsonl"
    with tracking.job(key, settings=settings.model_dump_json(), unsent=unsent) as tracker:
        return run(settings, tracker=tracker, folder=folder, **means)


def read_artifact(tracking: Tracking, key: str, name: str) -> Path:
    run_id = tracking.run(key).info.run_id
    return Path(tracking.client.download_artifacts(run_id, f"checkpoint/{name}"))


# --- what is there afterwards -----------------------------------------------------------------


def test_the_run_of_a_training_has_all_that_tells_how_it_went(
    tracking: Tracking, run: Train, settings: TrainSettings
) -> None:
    folder = track(tracking, "train whole", run, settings, track_checkpoint=True)
    found = tracking.run("train whole")
    assert found.info.status == "FINISHED"
    numbers = found.data.metrics
    last = pd.read_csv(folder / "history.csv").iloc[-1]
    for name in ("loss", "text_to_item", "item_to_text", "matching", "temperature"):
        assert numbers[name] == pytest.approx(last[name])
    assert numbers["gradient_norm"] > 0
    assert 0 < numbers["distance/matched"] < 1
    assert 0 < numbers["distance/hardest_negative"] < 1
    assert numbers["clips_per_second"] > 0
    assert 0 <= numbers["data_wait_share"] <= 1
    assert numbers["system/memory_mib"] > 100
    assert numbers["system/cpu_cores"] > 0
    assert {name for name in numbers if name.startswith("learning_rate/")} == {
        f"learning_rate/{rate}_{decayed}"
        for rate in ("basic", "vision")
        for decayed in ("decayed", "not_decayed")
    }
    tags = found.data.tags
    assert tags["gram.clips"].startswith("rows 12, ")
    assert len(tags["gram.sha256_of_index"]) == len(tags["gram.sha256_of_origin"]) == 64


def test_settings_history_and_checkpoint_are_kept_with_the_run(
    tracking: Tracking, run: Train, settings: TrainSettings
) -> None:
    folder = track(tracking, "train kept", run, settings, track_checkpoint=True)
    for name in ("last.json", "history.csv", "last.safetensors"):
        kept = read_artifact(tracking, "train kept", name)
        assert kept.read_bytes() == (folder / name).read_bytes()
    described = json.loads(read_artifact(tracking, "train kept", "last.json").read_text("utf-8"))
    assert described["settings"] == settings.model_dump(mode="json")


def test_without_the_resource_no_checkpoint_is_kept_with_the_run(
    tracking: Tracking, run: Train, settings: TrainSettings
) -> None:
    track(tracking, "train small", run, settings)
    kept = tracking.client.list_artifacts(tracking.run("train small").info.run_id, "checkpoint")
    assert [Path(one.path).name for one in kept] == ["history.csv", "last.json"]


def test_a_registered_model_can_be_loaded(
    tracking: Tracking, run: Train, settings: TrainSettings
) -> None:
    folder = track(tracking, "train loaded toys", run, settings, register_model=True)
    (version,) = tracking.client.search_model_versions("name = 'gram-loaded-toys'")
    assert version.run_id == tracking.run("train loaded toys").info.run_id
    assert version.tags["gram.sha256"] == sha256_of(folder / "last.safetensors")
    source = Path(
        tracking.client.get_model_version_download_uri(version.name, version.version).removeprefix(
            "file://"
        )
    )
    assert GramModel.load(source / "last.safetensors").modalities == ITEM_MODALITIES


def test_the_same_checkpoint_is_registered_once(
    tracking: Tracking, run: Train, settings: TrainSettings, make_settings: MakeSettings
) -> None:
    for number in range(2):
        track(tracking, "train again", run, settings, register_model=True, folder=f"run{number}")
    other = make_settings(steps=3)
    track(tracking, "train again", run, other, register_model=True, folder="other")
    versions = tracking.client.search_model_versions("name = 'gram-again'")
    assert sorted(int(one.version) for one in versions) == [1, 2]


# --- killed -----------------------------------------------------------------------------------


def statuses(tracking: Tracking, key: str) -> list[str]:
    """Read the statuses of a job's runs; no client is opened, since processes are forked here."""
    path = tracking.address.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT status FROM runs JOIN tags USING (run_uuid) WHERE key = 'gram.key' "
            "AND value = ? ORDER BY start_time",
            (key,),
        )
        return [status for (status,) in rows]


def test_a_training_that_is_ended_is_killed_and_goes_on_with_its_run(
    database: str, tmp_path: Path, run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(steps=40)
    tracking = Tracking(database, tmp_path / "parents", None)  # type: ignore[arg-type]

    def end_by(number: signal.Signals, *, after_step: int) -> int | None:
        job = started(lambda: track(tracking, "train killed", run, settings, checkpoint_steps=1))
        limit = time.monotonic() + LIMIT_SECONDS
        while newest_step(tmp_path / "run") < after_step and job.is_alive():
            assert time.monotonic() < limit
            time.sleep(0.005)
        os.kill(job.pid or 0, number)
        job.join()
        return job.exitcode

    assert end_by(signal.SIGTERM, after_step=3) == STOPPED_EXIT_CODE
    assert statuses(tracking, "train killed") == ["KILLED"]
    assert end_by(signal.SIGKILL, after_step=8) == -signal.SIGKILL
    assert statuses(tracking, "train killed") == ["RUNNING"]
    ending = started(lambda: track(tracking, "train killed", run, settings))
    ending.join()
    assert statuses(tracking, "train killed") == ["FINISHED"]
    assert are_equal(tmp_path / "run", run(settings, folder="undisturbed"))


def test_a_killed_training_whose_settings_change_is_closed_as_killed(
    database: str, tmp_path: Path, run: Train, make_settings: MakeSettings
) -> None:
    tracking = Tracking(database, tmp_path / "parents", None)  # type: ignore[arg-type]
    first, second = make_settings(steps=500), make_settings(steps=2)
    job = started(lambda: track(tracking, "train other", run, first, checkpoint_steps=1))
    limit = time.monotonic() + LIMIT_SECONDS
    while newest_step(tmp_path / "run") < 2:
        assert time.monotonic() < limit
        time.sleep(0.005)
    job.kill()
    job.join()
    ending = started(lambda: track(tracking, "train other", run, second))
    ending.join()
    assert statuses(tracking, "train other") == ["KILLED", "FINISHED"]


# --- MLflow cannot be reached -----------------------------------------------------------------


@pytest.fixture
def no_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow's client give up at once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.usefixtures("no_tries")
def test_a_training_that_reaches_nobody_ends_the_same_and_keeps_what_it_told(
    tracking: Tracking,
    run: Train,
    settings: TrainSettings,
    are_equal: Compare,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nobody = Tracking(NOBODY, tracking.folder, MlflowClient(NOBODY))
    folder = track(nobody, "train unheard", run, settings, track_checkpoint=True)
    assert are_equal(folder, run(settings, folder="undisturbed"))
    (said,) = [text for text in caplog.messages if "goes on without it" in text]
    assert said.startswith(f"tracking at {NOBODY} failed, and the job goes on without it")
    assert f"not tracked; they are kept in {folder / 'last.unsent.jsonl'}" in caplog.text
    kept = [json.loads(line) for line in (folder / "last.unsent.jsonl").read_text().splitlines()]
    assert {item[0] for item in kept} == {"fact", "number", "file"}
    tracking.end("train unheard", unsent=folder / "last.unsent.jsonl")
    assert not (folder / "last.unsent.jsonl").exists()
    assert "loss" in tracking.run("train unheard").data.metrics
    assert read_artifact(tracking, "train unheard", "last.safetensors").is_file()


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """Run MLflow's own server on this machine, until the block ends."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    stores = [f"--backend-store-uri=sqlite:///{folder}/served.db", "--serve-artifacts"]
    command += [*stores, f"--artifacts-destination={folder}/artifacts"]
    with (folder / "server.txt").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(port, server)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while server.poll() is None:
        try:
            MlflowClient(f"http://127.0.0.1:{port}").search_experiments(max_results=1)
        except MlflowException:
            assert time.monotonic() < limit
            time.sleep(0.2)
        else:
            return
    raise AssertionError("MLflow's server ended before it answered")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
@pytest.mark.usefixtures("no_tries")
def test_a_server_that_goes_away_costs_the_training_nothing_and_gets_all_when_it_is_back(
    tmp_path: Path,
    run: Train,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    tracking = Tracking(address, tmp_path / "parents", MlflowClient(address))
    server = served(tmp_path, port)
    server.__enter__()
    unsent = tmp_path / "run" / "last.unsent.jsonl"
    told = settings.model_dump_json()
    with tracking.job("train served", settings=told, unsent=unsent) as tracker:
        tracker.metrics({"before": 1.0}, step=0)
        tracker.settle()
        server.__exit__(None, None, None)
        run(settings, tracker=tracker, track_checkpoint=True)
    (said,) = [text for text in caplog.messages if "goes on without it" in text]
    assert said.startswith(f"tracking at {address} failed, and the job goes on without it")
    assert unsent.is_file()
    with served(tmp_path, port):
        tracking.end("train served", settings=told, unsent=unsent)
        found = tracking.run("train served")
        steps = tracking.client.get_metric_history(found.info.run_id, "loss")
        assert sorted(one.step for one in steps) == list(range(1, 13))
        assert "before" in found.data.metrics
        assert found.info.status == "FINISHED"
        kept = read_artifact(tracking, "train served", "last.safetensors")
        assert kept.read_bytes() == (tmp_path / "run" / "last.safetensors").read_bytes()
    assert not unsent.exists()
