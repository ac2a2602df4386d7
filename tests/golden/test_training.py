"""Losses, gradients and training steps that the published code gave for the whole tiny model."""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from gram.config import LossConfig, OptimizerConfig, TrainingConfig
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.tracking import Tracker
from gram.training import loop, step
from gram.training.checkpoint import PartialCheckpoints, TrainingState
from gram.training.choice import Choice
from gram.training.loop import take_steps
from gram.training.means import Means
from gram.training.optimizer import build_optimizer
from gram.training.precision import Precision
from gram.training.preparation import Training
from gram.training.step import StepLoss, step_loss
from gram.training.stopping import DivergenceNote, Ear
from gram.types import Batch, Modality
from gram.upstream import our_name, released_name
from gram.weights import load_released
from tests.golden.recording import Golden
from tests.golden.tiny_gram import make_batch, modalities_of

Build = Callable[[tuple[Modality, ...]], GramModel]

MODALITIES = ("tva", "tvas", "tvasd")
RELATIVE = 1e-4
"""Largest error of a gradient, in parts of its largest entry."""


class Fixed(NamedTuple):
    """The recorded wrong partners."""

    wrong_item: Tensor
    wrong_text: Tensor


@pytest.fixture
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("04_gram_io")


@pytest.fixture(autouse=True)
def _recorded_negatives(recorded: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the recorded wrong partners instead of drawing them."""
    fixed = Fixed(
        recorded.tensors["in.negatives.cond_for_text"],
        recorded.tensors["in.negatives.text_for_cond"],
    )
    monkeypatch.setattr(step, "draw_hard_negatives", lambda *_, **__: fixed)


@pytest.fixture
def load(tiny_gram: Build, released_checkpoint: Path) -> Build:
    """Give a function that builds the model of some modalities with the recorded weights."""

    def of(modalities: tuple[Modality, ...]) -> GramModel:
        model = tiny_gram(modalities)
        load_released(model, released_checkpoint)
        return model

    return of


def published(recorded: Golden, **changes: object) -> LossConfig:
    """Give the paper's objective, with some changes."""
    return LossConfig.model_validate({"matching_weight": recorded.facts["itm_ratio"], **changes})


def published_loss(model: GramModel, recorded: Golden, **changes: object) -> StepLoss:
    """Compute the loss of the recorded batch with the paper's settings, and some others."""
    batch = make_batch(recorded.tensors, model.modalities)
    return step_loss(model, batch, published(recorded, **changes))


def assert_losses(loss: StepLoss, letters: str, recorded: Golden) -> None:
    """Compare the contrastive loss and the total with the recorded ones."""
    start = f"loss.{letters}.identity"
    given = torch.stack([loss.contrastive.total, loss.total]).detach()
    expected = [recorded.tensors[f"{start}.{name}"] for name in ("loss_area", "total")]
    torch.testing.assert_close(given, torch.stack(expected), rtol=0, atol=1e-5)


def assert_gradients(model: GramModel, letters: str, recorded: Golden) -> None:
    """Compare the gradients that the model holds with the recorded ones."""
    start = f"loss.{letters}.identity.grad."
    names = [name for name in recorded.tensors if name.startswith(start)]
    assert len(names) > 10
    parameters = dict(model.named_parameters())
    for name in names:
        gradient = parameters[str(our_name(name.removeprefix(start)))].grad
        expected = recorded.tensors[name]
        assert gradient is not None, name
        error = (gradient - expected).abs().max() / expected.abs().max()
        assert error < RELATIVE, (name, float(error))


@pytest.mark.parametrize("letters", MODALITIES)
def test_the_losses_are_the_published_ones(letters: str, load: Build, recorded: Golden) -> None:
    assert_losses(published_loss(load(modalities_of(letters)), recorded), letters, recorded)


@pytest.mark.parametrize("letters", MODALITIES)
def test_the_gradients_are_the_published_ones(letters: str, load: Build, recorded: Golden) -> None:
    model = load(modalities_of(letters))
    published_loss(model, recorded).total.backward()
    assert_gradients(model, letters, recorded)


@pytest.mark.parametrize("letters", MODALITIES)
def test_the_parameters_without_gradient_are_the_published_ones(
    letters: str, load: Build, recorded: Golden
) -> None:
    model = load(modalities_of(letters))
    published_loss(model, recorded).total.backward()
    ours = {released_name(name) for name, one in model.named_parameters() if one.grad is None}
    of_model = {released_name(name) for name, _ in model.named_parameters()}
    theirs = set(recorded.facts["parameters_without_gradient"][letters])
    assert ours == theirs & of_model


@pytest.mark.parametrize(
    "changes",
    [
        {"label_smoothing": 0.0},
        {"kind": "cosine"},
        {"matching_on": "all"},
        {"matching_weight": 0.0},
    ],
    ids=str,
)
def test_another_loss_is_noticed(changes: dict[str, object], load: Build, recorded: Golden) -> None:
    loss = published_loss(load(modalities_of("tvas")), recorded, **changes)
    with pytest.raises(AssertionError):
        assert_losses(loss, "tvas", recorded)


def test_connected_copies_are_noticed_in_the_gradients(load: Build, recorded: Golden) -> None:
    model = load(modalities_of("tvas"))
    loss = published_loss(model, recorded, gather="connected")
    assert_losses(loss, "tvas", recorded)
    loss.total.backward()
    with pytest.raises(AssertionError):
        assert_gradients(model, "tvas", recorded)


# --- eight steps ------------------------------------------------------------------------------


class Listener(Tracker):
    """Keeps the gradients' norms that the loop tells."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.norms: list[float] = []

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Keep one."""
        self.norms.append(values["gradient_norm"])


class Repeated(Training):
    """A training on one batch."""

    def batches(self) -> Iterator[Batch]:
        """Give it again and again."""
        return repeat(self.facts["batch"])  # type: ignore[arg-type]


def training_of(
    model: GramModel, run: Mapping[str, float], recorded: Golden, *, folder: Path
) -> Training:
    """Give the recorded training before its first step."""
    settings = TrainSettings(
        seed=0,
        model=model.model_config,
        inputs=model.inputs_config,
        loss=published(recorded),
        optimizer=OptimizerConfig(
            weight_decay=run["weight_decay"], warmup=run["warmup_ratio"], clip_norm=None
        ),
        training=TrainingConfig(
            steps=int(run["num_train_steps"]),
            learning_rate=run["learning_rate"],
            vision_learning_rate=run["clip_lr"],
        ),
    )
    precision = Precision("fp32", torch.device("cpu"))
    optimizer = build_optimizer(model, settings.optimizer, training=settings.training)
    partial = PartialCheckpoints(folder / "last.safetensors", made_with="{}")
    return Repeated(
        settings=settings,
        workers=0,
        model=model,
        optimizer=optimizer,
        precision=precision,
        dataset=None,  # type: ignore[arg-type] # the batch is recorded
        num_steps=int(run["num_train_steps"]),
        state=TrainingState(
            model=model, optimizer=optimizer, scaler=precision.scaler, rows=[], seed=0
        ),
        partial=partial,
        choice=Choice(settings, None, index=folder / "index.parquet", partial=partial, rows=[]),
        facts={"batch": make_batch(recorded.tensors, model.modalities)},  # type: ignore[dict-item]
        note=DivergenceNote(folder / "last.safetensors", made_with="{}"),
    )


def steps(training: Training, *, micro_batch: int | None) -> Iterator[dict[str, float]]:
    """Take the recorded number of steps, on one batch, through the loop of all trainings."""
    tracker, means = Listener(), Means(device=torch.device("cpu"), micro_batch=micro_batch)
    take_steps(training, means, ear=Ear(), tracker=tracker)
    peak = training.settings.training.learning_rate
    for row, norm in zip(training.state.rows, tracker.norms, strict=True):
        yield {
            "lr_ratio": row["learning_rate"] / peak,
            "total": row["loss"],
            "loss_area": (row["text_to_item"] + row["item_to_text"]) / 2,
            "global_grad_norm": norm,
            "contra_temp_after": row["temperature"],
        }


@pytest.mark.parametrize("micro_batch", [None, 1], ids=["whole batch", "one clip at a time"])
@pytest.mark.parametrize("letters", ["tva", "tvasd"])
def test_the_steps_are_the_published_ones(
    letters: str,
    micro_batch: int | None,
    load: Build,
    recorded: Golden,
    golden: Callable[[str], Golden],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)
    run = golden("07_train_steps")
    expected = [row for row in run.facts["trajectory"] if row["modalities"] == letters]
    model = load(modalities_of(letters))
    training = training_of(model, run.facts["run_cfg"], recorded, folder=tmp_path)
    given = list(steps(training, micro_batch=micro_batch))
    assert len(given) == len(expected)
    for ours, theirs in zip(given, expected, strict=True):
        assert ours == pytest.approx({name: theirs[name] for name in ours}, rel=1e-3, abs=1e-5)
    weights = {released_name(name): weight for name, weight in model.state_dict().items()}
    ending = f"{letters}.after{len(expected)}."
    compared = [
        name
        for name in run.tensors
        if name.startswith(ending) and name.removeprefix(ending) in weights
    ]
    assert len(compared) > 3
    for name in compared:
        torch.testing.assert_close(
            weights[name.removeprefix(ending)], run.tensors[name], rtol=1e-3, atol=1e-4, msg=name
        )
