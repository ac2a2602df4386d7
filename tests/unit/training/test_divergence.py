"""Losses and gradients that are not finite: what is said, and that no try is wasted on them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training import loop
from gram.training.stopping import DivergedError

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]


class Counter(Tracker):
    """Counts the steps that it is told of."""

    def __init__(self) -> None:
        """Begin at none."""
        super().__init__()
        self.steps = 0

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Count one."""
        self.steps += 1


@pytest.fixture
def diverging(make_settings: MakeSettings) -> TrainSettings:
    return make_settings(learning_rate=1e30)


def diverge(run: Train, settings: TrainSettings, **means: int) -> str:
    with pytest.raises(DivergedError) as error:
        run(settings, **means)
    return str(error.value)


def test_step_and_clips_are_named(run: Train, diverging: TrainSettings) -> None:
    with pytest.raises(
        DivergedError, match=r"the loss is nan at step \d+, on the clips .*train.*; lower the"
    ):
        run(diverging)


def test_without_a_checkpoint_the_last_good_state_is_that_of_the_start(
    run: Train, diverging: TrainSettings
) -> None:
    assert "The last good state: that of the start" in diverge(run, diverging, checkpoint_steps=500)


def test_the_last_good_checkpoint_is_named(
    run: Train, diverging: TrainSettings, tmp_path: Path
) -> None:
    message = diverge(run, diverging, checkpoint_steps=1)
    newest = max((tmp_path / "run/partial").glob("*.pt"))
    assert f"The last good state: {newest}" in message


def test_a_gradient_that_is_not_finite_ends_the_training_before_the_step(
    run: Train, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "average_and_clip", lambda *_, **__: float("inf"))
    message = diverge(run, make_settings())
    assert "the norm of its gradient inf at step 1, on the clips" in message


def test_another_try_ends_at_once_with_the_same_message(
    run: Train, diverging: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = diverge(run, diverging)
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    counter = Counter()
    with pytest.raises(DivergedError) as again:
        run(diverging, tracker=counter)
    assert str(again.value).startswith(f"{first}\nThis is of an earlier try with the same settings")
    assert counter.steps == 0


def test_the_note_can_be_removed_to_try_nevertheless(
    run: Train, diverging: TrainSettings, tmp_path: Path
) -> None:
    diverge(run, diverging)
    (tmp_path / "run/partial/diverged.json").unlink()
    assert "of an earlier try" not in diverge(run, diverging)


def test_with_other_settings_the_training_begins(
    run: Train, diverging: TrainSettings, make_settings: MakeSettings
) -> None:
    diverge(run, diverging)
    names = {path.name for path in run(make_settings()).iterdir()}
    assert names == {"history.csv", "last.json", "last.safetensors"}


def test_a_damaged_note_keeps_no_training_from_beginning(
    run: Train, make_settings: MakeSettings, tmp_path: Path
) -> None:
    note = tmp_path / "run/partial/diverged.json"
    note.parent.mkdir(parents=True)
    note.write_text("", encoding="utf-8")
    assert (run(make_settings(steps=1)) / "last.safetensors").exists()
