"""Whole trainings in two processes: the losses of one, and killed at any moment the same end."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gram.jobs import TrainSettings
from gram.types import Modality
from tests.unit.training.forked import (
    exit_codes,
    newest_step,
    started_ranks,
    wait_at_random,
)

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]

PARTS = ("loss", "text_to_item", "item_to_text", "matching")


@pytest.fixture
def run_ranks(run: Train, tmp_path: Path) -> Train:
    """Give a function that trains in several forked ranks."""
    count = iter(range(1000))

    def train_in(settings: TrainSettings, *, ranks: int = 2, **means: object) -> Path:
        meeting = tmp_path / f"meeting{next(count)}"
        processes = started_ranks(lambda: run(settings, **means), meeting, ranks=ranks)
        assert exit_codes(processes) == [0] * ranks
        return tmp_path / str(means.get("folder", "run"))

    return train_in


@pytest.fixture
def settings(make_settings: MakeSettings) -> TrainSettings:
    """Give settings whose steps draw negatives alone.

    Divided by the default temperature, 0.07, float32 volumes round by more than 1e-6.
    """
    return make_settings(
        modalities=(Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE),
        steps=20,
        batch_size=6,
        dropout=0.0,
        learning_rate=1e-4,
        loss={"temperature": 0.5},
    )


def losses(folder: Path) -> list[list[float]]:
    history = pd.read_csv(folder / "history.csv")
    return [history[name].tolist() for name in PARTS]


def assert_alike(first: Path, second: Path) -> None:
    for ours, theirs in zip(losses(first), losses(second), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("gather", ["connected", "detached"])
def test_two_processes_have_the_losses_of_one(
    run: Train, run_ranks: Train, make_settings: MakeSettings, gather: str
) -> None:
    settings = make_settings(
        modalities=(Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE),
        steps=20,
        batch_size=6,
        dropout=0.0,
        learning_rate=1e-4,
        loss={"gather": gather, "matching_clips": 5, "temperature": 0.5},
    )
    assert_alike(run_ranks(settings, folder="two"), run(settings, folder="one"))


@pytest.mark.parametrize(
    "means", [{"shard_model": True}, {"micro_batch": 1}], ids=["weights in shares", "in parts"]
)
def test_two_processes_have_the_losses_of_one_by_other_means(
    run: Train, run_ranks: Train, settings: TrainSettings, means: dict[str, object]
) -> None:
    assert_alike(run_ranks(settings, folder="two", **means), run(settings, folder="one"))


def test_another_number_of_processes_goes_on_with_the_same_losses(
    run: Train, run_ranks: Train, settings: TrainSettings, tmp_path: Path
) -> None:
    undisturbed = run(settings, folder="one")
    stop_after(tmp_path, run, settings, step=5)
    processes = started_ranks(lambda: run(settings, checkpoint_steps=1), tmp_path / "meeting")
    wait_for(tmp_path, step=11)
    for process in processes:
        process.kill()
    exit_codes(processes)
    assert_alike(run_ranks(settings, ranks=3), undisturbed)


def stop_after(tmp_path: Path, run: Train, settings: TrainSettings, *, step: int) -> None:
    processes = started_ranks(
        lambda: run(settings, checkpoint_steps=1), tmp_path / "alone", ranks=1
    )
    wait_for(tmp_path, step=step)
    processes[0].kill()
    exit_codes(processes)


def wait_for(tmp_path: Path, *, step: int) -> None:
    """Wait until the state of a step, or of a later one, has been kept."""
    limit = time.monotonic() + 60
    while newest_step(tmp_path / "run") < step:
        assert time.monotonic() < limit
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("shard_model", "times"), [(False, 10), (True, 3)], ids=["whole", "in shares"]
)
def test_two_processes_killed_at_random_moments_end_as_undisturbed_ones(
    run: Train,
    run_ranks: Train,
    make_settings: MakeSettings,
    are_equal: Compare,
    tmp_path: Path,
    shard_model: bool,
    times: int,
) -> None:
    settings = make_settings(
        modalities=(Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE),
        steps=14,
        batch_size=4,
        dropout=0.1,
    )
    undisturbed = run_ranks(settings, folder="undisturbed", shard_model=shard_model)
    moments, kills = np.random.default_rng(6), 0
    for number in range(1000):
        processes = started_ranks(
            lambda: run(settings, checkpoint_steps=1, shard_model=shard_model),
            tmp_path / f"killed{number}",
        )
        wait_at_random(processes, tmp_path / "run", moments=moments)
        processes[number % 2].kill()  # the other one ends by itself
        codes = exit_codes(processes)
        kills += -signal.SIGKILL in codes
        if codes == [0, 0]:
            assert are_equal(tmp_path / "run", undisturbed)
            shutil.rmtree(tmp_path / "run")
        if kills == times:
            break
    assert are_equal(run_ranks(settings, shard_model=shard_model), undisturbed)
