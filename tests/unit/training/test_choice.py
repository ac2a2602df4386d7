"""Which weights are kept: the last, or the best by clips that are not trained on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pytest
import torch

from gram.data.clip_index import read_index
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.tracking import Tracker
from gram.training import choice, loop
from gram.training.choice import split_clips

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]
Weights = Callable[[Path], dict[str, torch.Tensor]]

HELD_OUT = {"held_out": 4, "every": 2}


def recalls(folder: Path) -> list[float]:
    return pd.read_csv(folder / "history.csv")["validation"].tolist()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[int, float]], dict[int, Any]]:
    """Give a function that sets the recalls of steps, and gives the weights that were scored."""

    def script(given: Mapping[int, float]) -> dict[int, Any]:
        scored: dict[int, Any] = {}
        values = iter(given.items())

        def recall(_: object, model: GramModel, *__: object, **___: object) -> float:
            step, value = next(values)
            scored[step] = {name: one.clone() for name, one in model.state_dict().items()}
            return value

        monkeypatch.setattr(choice._Clips, "recall", recall)
        return scored

    return script


def test_the_history_tells_the_recall_of_scored_steps_and_the_last(
    run: Train, make_settings: MakeSettings
) -> None:
    found = recalls(run(make_settings(steps=5, validation=HELD_OUT)))
    assert [pd.isna(value) for value in found] == [True, False, True, False, False]
    assert all(0 <= value <= 100 for value in found if not pd.isna(value))


def test_scoring_changes_no_weight(
    run: Train, make_settings: MakeSettings, weights: Weights
) -> None:
    on_test = {"split": "test", "every": 2}
    plain = weights(run(make_settings(steps=5), folder="plain"))
    scored = weights(run(make_settings(steps=5, validation=on_test), folder="scored"))
    assert all(torch.equal(plain[name], scored[name]) for name in plain)


@pytest.mark.parametrize(
    ("keep", "given", "kept"),
    [
        ("best", {2: 10.0, 4: 50.0, 6: 20.0, 7: 50.0}, 4),
        ("best", {2: 10.0, 4: 50.0, 6: 20.0, 7: 60.0}, 7),
        ("last", {2: 10.0, 4: 50.0, 6: 20.0, 7: 50.0}, 7),
    ],
    ids=["best, of equal ones the first", "the last is best", "last"],
)
def test_the_weights_of_the_chosen_step_are_kept(
    run: Train,
    make_settings: MakeSettings,
    scripted: Callable[[Mapping[int, float]], dict[int, Any]],
    weights: Weights,
    keep: str,
    given: Mapping[int, float],
    kept: int,
) -> None:
    scored = scripted(given)
    folder = run(make_settings(steps=7, keep=keep, validation=HELD_OUT))
    found = weights(folder)
    assert all(torch.equal(scored[kept][name], found[name]) for name in found)
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "last.json",
        "last.safetensors",
    ]


class Killer(Tracker):
    """Ends a job when what it told has been sent for the third time."""

    def __init__(self) -> None:
        """Begin at none."""
        super().__init__()
        self.count = 0

    def flush(self) -> None:
        """Count one."""
        self.count += 1
        if self.count == 3:
            raise InterruptedError


class Watcher(Tracker):
    """Counts the weights that lie beside a training, at each step."""

    def __init__(self, folder: Path) -> None:
        """Watch a folder."""
        super().__init__()
        self.folder, self.counts = folder, list[int]()

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Count once."""
        self.counts.append(len(list(self.folder.glob("*best*"))))


def test_a_killed_training_keeps_the_same_weights(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(
        steps=9, keep="best", validation={"held_out": 6, "every": 1}, learning_rate=1e-2
    )
    undisturbed = run(settings, folder="undisturbed")
    with pytest.raises(InterruptedError):
        run(settings, tracker=Killer(), checkpoint_steps=2)
    assert are_equal(run(settings), undisturbed)


def test_no_more_weights_lie_beside_a_training_than_are_needed(
    run: Train,
    make_settings: MakeSettings,
    scripted: Callable[[Mapping[int, float]], dict[int, Any]],
    tmp_path: Path,
) -> None:
    scripted({step: float(step) for step in range(1, 10)})
    settings = make_settings(steps=9, keep="best", validation={"held_out": 4, "every": 1})
    with pytest.raises(InterruptedError):
        run(settings, tracker=Killer(), checkpoint_steps=2)
    names = [path.name for path in (tmp_path / "run/partial").glob("*best*")]
    assert [name.split(".")[1] for name in sorted(names)] == ["best000000004", "best000000006"]


def test_the_weights_of_a_training_with_other_settings_are_not_taken(
    run: Train,
    make_settings: MakeSettings,
    scripted: Callable[[Mapping[int, float]], dict[int, Any]],
    are_equal: Compare,
) -> None:
    def settings(seed: int) -> TrainSettings:
        return make_settings(
            seed=seed, steps=9, keep="best", validation={"held_out": 4, "every": 1}
        )

    falling = {step: 50.0 - step for step in range(1, 10)}
    scripted(falling)
    with pytest.raises(InterruptedError):
        run(settings(0), tracker=Killer(), checkpoint_steps=2)
    scripted(falling)
    disturbed = run(settings(1))
    scripted(falling)
    assert are_equal(disturbed, run(settings(1), folder="undisturbed"))


def test_between_two_checkpoints_no_more_than_one_is_added(
    run: Train,
    make_settings: MakeSettings,
    scripted: Callable[[Mapping[int, float]], dict[int, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    scripted({step: float(step) for step in range(1, 10)})
    settings = make_settings(steps=9, keep="best", validation={"held_out": 4, "every": 1})
    watcher = Watcher(tmp_path / "run/partial")
    run(settings, tracker=watcher, checkpoint_steps=3)
    assert watcher.counts[:8] == [1, 1, 1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"are damaged \(.*\.best0000"),
        (lambda path: path.unlink(), r"are not in .*/run/partial; remove .*/run/partial and run"),
    ],
    ids=["damaged", "gone"],
)
def test_the_best_weights_are_not_kept_when_they_are_not_what_was_written(
    run: Train,
    make_settings: MakeSettings,
    scripted: Callable[[Mapping[int, float]], dict[int, Any]],
    tmp_path: Path,
    spoil: Callable[[Path], object],
    said: str,
) -> None:
    scripted({step: 50.0 - step for step in range(1, 10)})
    settings = make_settings(steps=9, keep="best", validation={"held_out": 4, "every": 1})
    with pytest.raises(InterruptedError):
        run(settings, tracker=Killer(), checkpoint_steps=2)
    (best,) = (tmp_path / "run/partial").glob("*best*")
    spoil(best)
    with pytest.raises(ValueError, match=said):
        run(settings)
    assert not (tmp_path / "run/last.safetensors").exists()


# --- clips that are held out ------------------------------------------------------------------


def held_out(settings: TrainSettings, shards: Path) -> tuple[set[str], set[str]]:
    trained, validated = split_clips(settings, shards / "index.parquet")
    assert validated is not None
    return set(trained.rows["clip_id"]), set(validated["clip_id"])


def test_clips_are_trained_on_or_held_out(make_settings: MakeSettings, shards: Path) -> None:
    trained, out = held_out(make_settings(validation=HELD_OUT), shards)
    assert (len(trained), len(out), trained & out) == (8, 4, set())


def test_another_seed_holds_out_others(make_settings: MakeSettings, shards: Path) -> None:
    found = [
        held_out(make_settings(validation={**HELD_OUT, "seed": seed}), shards)[1]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_what_is_held_out_is_counted(make_settings: MakeSettings, shards: Path) -> None:
    trained, _ = split_clips(make_settings(validation=HELD_OUT), shards / "index.parquet")
    assert (trained.counts["held out"], trained.counts["used"]) == (4, 8)


def test_too_many_cannot_be_held_out(make_settings: MakeSettings, shards: Path) -> None:
    settings = make_settings(validation={"held_out": 11})
    with pytest.raises(ValueError, match=r"held_out is 11, and the split 'train' has 12 clips"):
        split_clips(settings, shards / "index.parquet")


def test_one_clip_alone_is_not_trained_on(
    make_settings: MakeSettings, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_index(shards / "index.parquet")
    one = rows.filter(pc.field("split") == "train").slice(0, 1)
    monkeypatch.setattr(choice, "read_index", lambda _: one)
    with pytest.raises(ValueError, match="has 1 clip that can be used, and a training needs 2"):
        split_clips(make_settings(), shards / "index.parquet")
