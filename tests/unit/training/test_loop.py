"""The training loop on generated clips: what it writes, how long it takes, what a step is."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
import torch

from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.tracking import Tracker
from gram.training.preparation import TrainingFiles
from gram.types import ITEM_MODALITIES, Batch

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]
MakeModel = Callable[..., GramModel]
MakeBatch = Callable[..., Batch]

BOTH = pytest.mark.parametrize("kind", ["volume", "cosine"])
KINDS = pytest.mark.parametrize("kind", ["volume", "cosine", "eigenvalue", "product"])


class Notebook(Tracker):
    """Keeps what it is told."""

    def __init__(self) -> None:
        """Begin with an empty page."""
        super().__init__()
        self.told: dict[int, dict[str, float]] = {}
        self.sent: list[int] = []
        self.facts: dict[str, str] = {}

    def tags(self, values: Mapping[str, str]) -> None:
        """Keep the facts."""
        self.facts.update(values)

    def flush(self) -> None:
        """Keep how many steps had been told of when they were sent."""
        self.sent.append(len(self.told))

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Keep the numbers of a step."""
        self.told[step] = dict(values)


# --- what is written --------------------------------------------------------------------------


def test_the_checkpoint_can_be_loaded(run: Train, make_settings: MakeSettings) -> None:
    settings = make_settings(modalities=ITEM_MODALITIES, steps=2)
    model = GramModel.load(run(settings) / "last.safetensors")
    assert (model.model_config, model.inputs_config) == (settings.model, settings.inputs)


def test_the_history_has_a_row_a_step(run: Train, make_settings: MakeSettings) -> None:
    history = pd.read_csv(run(make_settings(steps=3)) / "history.csv")
    assert history["step"].tolist() == [1, 2, 3]


def test_the_history_tells_all_parts_of_the_loss(run: Train, make_settings: MakeSettings) -> None:
    history = pd.read_csv(run(make_settings(steps=3)) / "history.csv")
    contrastive = (history["text_to_item"] + history["item_to_text"]) / 2
    expected = contrastive + 0.1 * history["matching"]
    assert history["loss"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_the_history_tells_the_rate(run: Train, make_settings: MakeSettings) -> None:
    history = pd.read_csv(run(make_settings(steps=4)) / "history.csv")
    expected = [1e-3 * (1 - done) / 0.9 for done in (0.25, 0.5, 0.75, 1)]
    assert history["learning_rate"].tolist() == pytest.approx(expected, abs=1e-12)


def test_a_readable_description_stands_beside_the_checkpoint(
    run: Train, make_settings: MakeSettings
) -> None:
    settings = make_settings(steps=2)
    described = json.loads((run(settings) / "last.json").read_text(encoding="utf-8"))
    assert described["steps"] == 2
    assert TrainSettings.model_validate(described["settings"]) == settings


def test_nothing_else_is_left_behind(run: Train, make_settings: MakeSettings) -> None:
    names = [path.name for path in run(make_settings(steps=9)).iterdir()]
    assert sorted(names) == ["history.csv", "last.json", "last.safetensors"]


# --- how long, and on what --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "batch_size", "steps"),
    [(1, 4, 3), (2, 4, 6), (1, 5, 2), (0.5, 4, 1), (0.1, 4, 1), (3, 64, 3)],
)
def test_epochs_are_passes_over_the_split(
    run: Train, make_settings: MakeSettings, epochs: float, batch_size: int, steps: int
) -> None:
    settings = make_settings(epochs=epochs, batch_size=batch_size)
    assert len(pd.read_csv(run(settings) / "history.csv")) == steps


def test_the_tracker_is_told_every_ten_steps_and_the_last(
    run: Train, make_settings: MakeSettings
) -> None:
    notebook = Notebook()
    run(make_settings(steps=12), tracker=notebook)
    assert list(notebook.told) == [10, 12]


def test_what_the_tracker_was_told_is_sent_with_each_partial_checkpoint(
    run: Train, make_settings: MakeSettings
) -> None:
    notebook = Notebook()
    run(make_settings(steps=25), tracker=notebook, checkpoint_steps=10)
    assert notebook.sent == [1, 2]


def test_the_tracker_is_told_how_fast_it_goes(run: Train, make_settings: MakeSettings) -> None:
    notebook = Notebook()
    run(make_settings(steps=1), tracker=notebook)
    assert notebook.told[1]["clips_per_second"] > 0


def test_the_tracker_is_told_what_tells_how_it_goes(
    run: Train, make_settings: MakeSettings
) -> None:
    notebook = Notebook()
    run(make_settings(steps=1, learning_rate=1e-3), tracker=notebook)
    told = notebook.told[1]
    assert told["gradient_norm"] > 0
    assert 0 < told["distance/hardest_negative"] < 1
    assert 0 < told["distance/matched"] < 1
    assert 0 <= told["data_wait_share"] <= 1
    assert told["system/memory_mib"] > 100
    assert {name for name in told if name.startswith("learning_rate/")} == {
        "learning_rate/basic_decayed",
        "learning_rate/basic_not_decayed",
    }


def test_the_tracker_is_told_of_the_clips(run: Train, make_settings: MakeSettings) -> None:
    notebook = Notebook()
    run(make_settings(steps=1), tracker=notebook)
    assert notebook.facts["gram.clips"].startswith("rows 12, ")
    assert len(notebook.facts["gram.sha256_of_index"]) == 64


def test_a_split_that_is_not_there_is_named(run: Train, make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match="no clip of the split 'val'; it has: test, train"):
        run(make_settings(split="val"))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@KINDS
def test_any_number_of_modalities_can_be_trained(
    run: Train, make_settings: MakeSettings, kind: str, count: int
) -> None:
    settings = make_settings(modalities=ITEM_MODALITIES[:count], loss={"kind": kind}, steps=2)
    assert pd.read_csv(run(settings) / "history.csv")["loss"].map(math.isfinite).all()


@BOTH
def test_the_loss_falls(run: Train, make_settings: MakeSettings, kind: str) -> None:
    settings = make_settings(
        steps=30, batch_size=12, dropout=0.0, learning_rate=1e-2, loss={"kind": kind}
    )
    loss = pd.read_csv(run(settings) / "history.csv")["loss"]
    assert loss.tail(5).mean() < 0.95 * loss.head(5).mean()


def test_without_a_weight_matching_is_left_out(run: Train, make_settings: MakeSettings) -> None:
    folder = run(make_settings(steps=2, loss={"matching_weight": 0}))
    assert pd.read_csv(folder / "history.csv")["matching"].tolist() == [0, 0]


def test_the_temperature_stays_above_zero(run: Train, make_settings: MakeSettings) -> None:
    settings = make_settings(loss={"temperature": 0.002}, learning_rate=0.1)
    assert pd.read_csv(run(settings) / "history.csv")["temperature"].min() >= 0.999e-3


# --- the same again ---------------------------------------------------------------------------


def test_the_same_settings_give_the_same_weights(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(modalities=ITEM_MODALITIES, steps=3)
    assert are_equal(run(settings, folder="first"), run(settings, folder="again"))


def test_another_seed_gives_other_weights(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    first = run(make_settings(steps=1), folder="first")
    other = run(make_settings(steps=1, seed=1), folder="other")
    assert not are_equal(first, other)


def test_keeping_decoded_clips_changes_nothing(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(modalities=ITEM_MODALITIES, steps=5)
    plain = run(settings, folder="plain")
    assert are_equal(run(settings, folder="cached", cache_mib=64), plain)


def test_reading_ahead_changes_nothing(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(modalities=ITEM_MODALITIES, steps=5)
    plain = run(settings, folder="plain")
    assert are_equal(run(settings, folder="ahead", workers=3), plain)


# --- from a checkpoint ------------------------------------------------------------------------


def test_finetuning_starts_from_the_weights_of_the_checkpoint(
    run: Train, make_settings: MakeSettings, weights: Callable[[Path], dict[str, torch.Tensor]]
) -> None:
    start = run(make_settings(steps=3), folder="pretrained")
    tuned = run(
        make_settings(steps=1, learning_rate=1e-12, seed=7),
        folder="finetuned",
        start=start / "last.safetensors",
    )
    before, after = weights(start), weights(tuned)
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)


def test_finetuning_goes_on_with_the_learned_temperature(
    run: Train, make_settings: MakeSettings
) -> None:
    first = make_settings(steps=2, loss={"temperature": 0.5})
    start = run(first, folder="pretrained") / "last.safetensors"
    tuned = run(make_settings(steps=1), folder="finetuned", start=start)
    assert pd.read_csv(tuned / "history.csv")["temperature"][0] == pytest.approx(0.5, rel=0.01)


def test_a_temperature_of_the_settings_counts_more_than_a_learned_one(
    run: Train, make_settings: MakeSettings
) -> None:
    start = run(make_settings(steps=2, loss={"temperature": 0.5}), folder="pretrained")
    again = make_settings(steps=1, loss={"temperature": 0.2})
    tuned = run(again, folder="finetuned", start=start / "last.safetensors")
    assert pd.read_csv(tuned / "history.csv")["temperature"][0] == pytest.approx(0.2, rel=0.01)


def test_a_run_of_fewer_modalities_starts_from_the_weights_that_it_has(
    run: Train, make_settings: MakeSettings, weights: Callable[[Path], dict[str, torch.Tensor]]
) -> None:
    start = run(make_settings(modalities=ITEM_MODALITIES, steps=1), folder="all")
    settings = make_settings(modalities=(SUBTITLE,), steps=1, learning_rate=1e-12, seed=7)
    before, after = (
        weights(start),
        weights(run(settings, folder="one", start=start / "last.safetensors")),
    )
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in after)


def test_what_the_start_lacks_is_logged(
    run: Train, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    start = run(make_settings(modalities=(SUBTITLE,), steps=1), folder="one")
    settings = make_settings(modalities=(AUDIO, SUBTITLE), steps=1)
    with caplog.at_level(logging.INFO):
        run(settings, folder="two", start=start / "last.safetensors")
    (said,) = [text for text in caplog.messages if text.startswith("weights of ")]
    assert "projections.audio.weight" in said


@pytest.mark.parametrize("given", ["neither", "both"])
def test_word_pieces_come_from_one_place(given: str, tmp_path: Path) -> None:
    path = tmp_path / "file" if given == "both" else None
    with pytest.raises(ValueError, match="needs a vocabulary or a checkpoint to start from, one"):
        TrainingFiles(index=tmp_path, vocabulary=path, start=path, checkpoint=tmp_path)


# --- encoders that keep their weights ---------------------------------------------------------


@pytest.mark.parametrize("frozen", [("text",), ("vision", "audio")], ids=str)
def test_frozen_encoders_keep_their_weights_and_the_rest_learns(
    run: Train,
    make_settings: MakeSettings,
    weights: Callable[[Path], dict[str, torch.Tensor]],
    frozen: tuple[str, ...],
) -> None:
    start = run(make_settings(modalities=ITEM_MODALITIES, steps=1), folder="pretrained")
    settings = make_settings(modalities=ITEM_MODALITIES, steps=2, frozen=frozen)
    tuned = run(settings, folder="tuned", start=start / "last.safetensors")
    before, after = weights(start), weights(tuned)
    kept = {name.split(".")[0] for name in before if torch.equal(before[name], after[name])}
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert set(frozen) <= kept
    assert changed >= {"text", "vision", "audio", "projections", "match_head"} - set(frozen)
    assert not set(frozen) & changed


def test_modalities_left_out_change_the_loss(run: Train, make_settings: MakeSettings) -> None:
    losses = [
        pd.read_csv(
            run(
                make_settings(modalities=ITEM_MODALITIES, steps=2, modality_dropout=share),
                folder=f"run{share}",
            )
            / "history.csv"
        )["loss"].tolist()
        for share in (0.0, 0.5)
    ]
    assert losses[0] != losses[1]
