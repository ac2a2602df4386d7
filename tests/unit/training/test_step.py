"""The loss of one step: what learns from it, what is read, and that it is a number."""

from collections.abc import Callable

import pytest
import torch

from gram.config import LossConfig
from gram.model import GramModel
from gram.training.step import StepLoss, step_loss
from gram.types import ITEM_MODALITIES, Batch

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES

MakeModel = Callable[..., GramModel]
MakeBatch = Callable[..., Batch]

KINDS = pytest.mark.parametrize("kind", ["volume", "cosine", "eigenvalue", "product"])


def step(model: GramModel, batch: Batch, **loss: object) -> StepLoss:
    settings = {"gather": "connected", "matching_on": "all", **loss}
    return step_loss(model, batch, LossConfig.model_validate(settings))


def parts_without_gradient(model: GramModel, total: torch.Tensor) -> set[str]:
    """Name the parameters that a loss does not reach."""
    names, weights = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is None}


@KINDS
def test_every_parameter_learns(make_model: MakeModel, make_batch: MakeBatch, kind: str) -> None:
    model = make_model()
    assert parts_without_gradient(model, step(model, make_batch(4), kind=kind).total) == set()


def test_the_parts_of_a_step_add_up(make_model: MakeModel, make_batch: MakeBatch) -> None:
    parts = step(make_model(), make_batch(4), matching_weight=0.5)
    expected = parts.contrastive.total.item() + 0.5 * parts.matching.item()
    assert parts.total.item() == pytest.approx(expected)


def test_a_batch_of_one_clip_has_no_matching_loss(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    assert step(make_model(), make_batch(1)).matching.item() == 0


@KINDS
def test_clips_that_lack_modalities_have_a_finite_loss(
    make_model: MakeModel, make_batch: MakeBatch, kind: str
) -> None:
    present = {AUDIO: [False] * 3, DEPTH: [True, False, False], SUBTITLE: [False, True, True]}
    assert torch.isfinite(step(make_model(), make_batch(3, present=present), kind=kind).total)


@pytest.mark.parametrize(("clips", "pairs"), [(None, 12), (1, 3), (3, 9), (64, 12)])
def test_the_matching_loss_reads_three_pairs_a_clip(
    make_model: MakeModel, make_batch: MakeBatch, clips: int | None, pairs: int
) -> None:
    model, read = make_model(), []
    model.match_head.register_forward_pre_hook(lambda _, given: read.append(len(given[0])))
    step(model, make_batch(4), matching_clips=clips)
    assert read == [pairs]


def test_without_a_weight_no_pair_is_read(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model, read = make_model(), []
    model.match_head.register_forward_pre_hook(lambda _, given: read.append(len(given[0])))
    step(model, make_batch(4), matching_weight=0)
    assert read == []


def test_the_area_loss_trains_two_modalities(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model = make_model((VIDEO, AUDIO))
    assert parts_without_gradient(model, step(model, make_batch(4), kind="area").total) == set()


@pytest.mark.parametrize("gather", ["detached", "connected"])
def test_the_loss_is_the_same_number_with_and_without_gradient_of_the_others(
    make_model: MakeModel, make_batch: MakeBatch, gather: str
) -> None:
    torch.manual_seed(1)
    whole = step(make_model(), make_batch(4)).total.item()
    torch.manual_seed(1)
    assert step(make_model(), make_batch(4), gather=gather).total.item() == pytest.approx(whole)


def test_detached_the_captions_learn_from_their_direction_alone(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model, batch = make_model((VIDEO,)), make_batch(4)
    projection = model.projections["text"].weight
    detached = step(model, batch, gather="detached", matching_weight=0)
    connected = step(model, batch, matching_weight=0)
    (given,) = torch.autograd.grad(detached.total, projection)
    (expected,) = torch.autograd.grad(connected.contrastive.text_to_item / 2, projection)
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-7)


def test_matching_on_video_and_audio_leaves_the_tokens_of_others_alone(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model = make_model()
    missing = parts_without_gradient(
        model, step(model, make_batch(4), matching_on="video_audio").total
    )
    assert missing
    assert {name.split(".")[1] for name in missing} == {"subtitle"}
