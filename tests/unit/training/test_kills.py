"""Trainings that are killed at any moment, in processes of their own, and started again."""

import os
import resource
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training import checkpoint, loop, stopping
from gram.training.stopping import STOPPED_EXIT_CODE, StoppedTraining
from gram.types import Modality
from tests.unit.training.forked import FORK, newest_step, started, wait_at_random

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]

KILLS = 10


@pytest.fixture
def settings(make_settings: MakeSettings) -> TrainSettings:
    """Give settings whose every part draws at random."""
    return make_settings(
        modalities=(Modality.AUDIO, Modality.SUBTITLE), steps=14, batch_size=5, dropout=0.1
    )


@pytest.fixture
def undisturbed(run: Train, settings: TrainSettings) -> Path:
    return run(settings, folder="undisturbed")


def test_killed_at_ten_random_moments_it_ends_as_an_undisturbed_one(
    run: Train, settings: TrainSettings, undisturbed: Path, are_equal: Compare, tmp_path: Path
) -> None:
    moments, kills, steps = np.random.default_rng(4), 0, set()
    while kills < KILLS:
        process = started(lambda: run(settings, checkpoint_steps=1))
        wait_at_random([process], tmp_path / "run", moments=moments)
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            steps.add(newest_step(tmp_path / "run"))
        else:
            assert are_equal(tmp_path / "run", undisturbed)
            shutil.rmtree(tmp_path / "run")
    assert len(steps) > 3
    assert are_equal(run(settings, checkpoint_steps=1), undisturbed)


@pytest.mark.parametrize("written", [0.0, 0.5, 1.0], ids=["at first", "half", "not renamed"])
def test_killed_while_a_checkpoint_is_written_it_ends_as_an_undisturbed_one(
    run: Train,
    settings: TrainSettings,
    undisturbed: Path,
    are_equal: Compare,
    tmp_path: Path,
    written: float,
) -> None:
    save = checkpoint._save

    def be_killed(copy: dict[str, object], path: Path) -> None:
        save(copy, path)
        if len(copy["rows"]) == 6:  # type: ignore[arg-type]
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * written)])
            os.kill(os.getpid(), signal.SIGKILL)

    def train() -> None:
        checkpoint._save = be_killed
        run(settings)

    process = started(train)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    names = [path.name for path in (tmp_path / "run/partial").glob("last.step*")]
    assert [name.split(".")[1] for name in sorted(names)] == ["step000000002", "step000000004"]
    assert are_equal(run(settings), undisturbed)


# --- a signal that asks -----------------------------------------------------------------------


class Sender(Tracker):
    """Sends this process a signal when it is told of a step."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        """Wait for the step."""
        super().__init__()
        self.number, self.step = number, step

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Send it."""
        if step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_the_training_after_its_step_with_a_code_of_its_own(
    run: Train,
    settings: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
) -> None:
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    with pytest.raises(StoppedTraining) as error:
        run(settings, tracker=Sender(number, 7), checkpoint_steps=500)
    assert error.value.code == STOPPED_EXIT_CODE
    (saved,) = (tmp_path / "run/partial").glob("*.pt")
    said = f"ended by {number.name} after step 7; the next try goes on from {saved}"
    assert said in caplog.text


def test_signaled_at_five_moments_it_ends_as_an_undisturbed_one(
    run: Train,
    settings: TrainSettings,
    undisturbed: Path,
    are_equal: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    for step in sorted(np.random.default_rng(5).permutation(range(1, 14))[:5].tolist()):
        with pytest.raises(StoppedTraining):
            run(settings, tracker=Sender(signal.SIGTERM, step), checkpoint_steps=500)
    assert are_equal(run(settings), undisturbed)


def test_a_signal_in_the_last_step_lets_the_training_end(
    run: Train,
    settings: TrainSettings,
    undisturbed: Path,
    are_equal: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    assert are_equal(run(settings, tracker=Sender(signal.SIGTERM, 14)), undisturbed)


def test_signals_act_as_before_when_the_training_has_ended(
    run: Train, settings: TrainSettings
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(settings)
    assert signal.getsignal(signal.SIGTERM) is before


# --- a full disk, another job -----------------------------------------------------------------


def test_a_disk_too_full_for_checkpoints_does_not_end_the_training(
    run: Train, settings: TrainSettings, undisturbed: Path, are_equal: Compare, tmp_path: Path
) -> None:
    limit = int(1.5 * (undisturbed / "last.safetensors").stat().st_size)
    written = tmp_path / "log.txt"

    def train() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        told: list[str] = []
        checkpoint.log.warning = lambda text, *given: told.append(text % given)  # type: ignore[method-assign]
        run(settings)
        written.write_text(told[0], encoding="utf-8")

    process = started(train)
    process.join()
    assert process.exitcode == 0
    assert are_equal(tmp_path / "run", undisturbed)
    said = written.read_text(encoding="utf-8")
    assert said.startswith("no partial checkpoint was written, and the training goes on: ")
    assert "no space to write in" in said


def test_two_jobs_do_not_train_into_one_folder(
    run: Train, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.1)
    ready, leave = FORK.Event(), FORK.Event()

    class Waiter(Tracker):
        def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
            ready.set()
            leave.wait(60)

    process = started(lambda: run(settings, tracker=Waiter()))
    try:
        assert ready.wait(60)
        with pytest.raises(ValueError, match=r"another process is training into .*run, perhaps of"):
            run(settings)
    finally:
        leave.set()
        process.join()
    assert process.exitcode == 0
