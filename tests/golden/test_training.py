"""Losses, gradients and training steps that the published code gave for the whole tiny model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from gram.config import LossConfig, OptimizerConfig, TrainingConfig
from gram.model import GramModel
from gram.training import step
from gram.training.gradients import add_gradients
from gram.training.optimizer import build_optimizer, schedule_factor, set_rate
from gram.training.precision import Precision
from gram.training.step import StepLoss, step_loss
from gram.training.update import average_and_clip, take_step
from gram.types import Modality
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


def steps(
    model: GramModel, run: dict[str, float], recorded: Golden, *, micro_batch: int | None
) -> Iterator[dict[str, float]]:
    """Take the recorded number of steps, on one batch, with the functions of our loop."""
    training = TrainingConfig(
        steps=int(run["num_train_steps"]),
        learning_rate=run["learning_rate"],
        vision_learning_rate=run["clip_lr"],
    )
    optimizer = build_optimizer(
        model, OptimizerConfig(weight_decay=run["weight_decay"]), training=training
    )
    batch, config = make_batch(recorded.tensors, model.modalities), published(recorded)
    precision = Precision("fp32", torch.device("cpu"))
    for number in range(1, int(run["num_train_steps"]) + 1):
        factor = schedule_factor(
            number, num_steps=int(run["num_train_steps"]), warmup=run["warmup_ratio"]
        )
        set_rate(optimizer, factor)
        optimizer.zero_grad(set_to_none=True)
        loss = add_gradients(model, batch, config, precision=precision, micro_batch=micro_batch)
        norm = average_and_clip(model, optimizer, precision, clip_norm=None)
        take_step(model, optimizer, precision)
        yield {
            "lr_ratio": factor,
            "total": float(loss.total.detach()),
            "loss_area": float(loss.contrastive.total.detach()),
            "global_grad_norm": norm,
            "contra_temp_after": float(model.temperature.detach()),
        }


@pytest.mark.parametrize("micro_batch", [None, 1], ids=["whole batch", "one clip at a time"])
@pytest.mark.parametrize("letters", ["tva", "tvasd"])
def test_the_steps_are_the_published_ones(
    letters: str,
    micro_batch: int | None,
    load: Build,
    recorded: Golden,
    golden: Callable[[str], Golden],
) -> None:
    run = golden("07_train_steps")
    expected = [row for row in run.facts["trajectory"] if row["modalities"] == letters]
    model = load(modalities_of(letters))
    given = list(steps(model, run.facts["run_cfg"], recorded, micro_batch=micro_batch))
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
