"""Losses that the published code gave, from its features and logits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.losses import ContrastiveLoss, matching_loss, volume_contrastive_loss

CASES = [
    (f"w1.r0.k{count}.temp{number}", count, temperature)
    for count in (3, 4, 5)
    for number, temperature in ((0, 0.07), (1, 0.2))
]
NAMES = ("in.feat_v", "in.feat_a", "in.feat_s", "in.feat_d")

Tensors = dict[str, Tensor]


@pytest.fixture
def recorded(golden: Callable[[str], Any]) -> Tensors:
    tensors: Tensors = golden("02_losses").tensors
    return tensors


def contrast(
    recorded: Tensors, count: int, *, temperature: Tensor | float
) -> tuple[ContrastiveLoss, Tensor, Tensor]:
    """Give the loss of the first vectors, and the texts and items that it was computed of."""
    anchors_bd = recorded["in.feat_t"].clone().requires_grad_()
    vectors = [recorded[name] for name in NAMES[: count - 1]]
    vectors_bkd = torch.stack(vectors, dim=1).requires_grad_()
    loss = volume_contrastive_loss(
        anchors_bd,
        vectors_bkd,
        present_bk=None,
        temperature=temperature,
        label_smoothing=0.1,
    )
    return loss, anchors_bd, vectors_bkd


@pytest.mark.parametrize(("name", "count", "temperature"), CASES)
def test_the_volume_loss_is_the_published_one(
    recorded: Tensors, name: str, count: int, temperature: float
) -> None:
    loss, _, _ = contrast(recorded, count, temperature=temperature)
    expected = [recorded[f"{name}.{part}"] for part in ("ce_d2a", "ce_a2d", "loss_area")]
    given = [loss.text_to_item, loss.item_to_text, loss.total]
    torch.testing.assert_close(torch.stack(given), torch.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "count", "temperature"), CASES)
def test_what_is_compared_is_what_was_published(
    recorded: Tensors, name: str, count: int, temperature: float
) -> None:
    loss, _, _ = contrast(recorded, count, temperature=temperature)
    torch.testing.assert_close(
        -loss.distance_bb / temperature, recorded[f"{name}.logits_d2a"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("name", "count", "temperature"), CASES)
def test_texts_learn_from_their_direction_as_published(
    recorded: Tensors, name: str, count: int, temperature: float
) -> None:
    loss, anchors_bd, _ = contrast(recorded, count, temperature=temperature)
    (gradient_bd,) = torch.autograd.grad(loss.text_to_item / 2, anchors_bd)
    torch.testing.assert_close(
        gradient_bd, recorded[f"{name}.grad_area.feat_t"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(("name", "count", "temperature"), CASES)
def test_items_learn_from_their_direction_as_published(
    recorded: Tensors, name: str, count: int, temperature: float
) -> None:
    loss, _, vectors_bkd = contrast(recorded, count, temperature=temperature)
    (gradient_bkd,) = torch.autograd.grad(loss.item_to_text / 2, vectors_bkd)
    expected = [recorded[f"{name}.grad_area.feat_{one}"] for one in "vasd"[: count - 1]]
    torch.testing.assert_close(gradient_bkd, torch.stack(expected, dim=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "count", "temperature"), CASES)
def test_the_temperature_learns_as_published(
    recorded: Tensors, name: str, count: int, temperature: float
) -> None:
    learned = torch.tensor(temperature, requires_grad=True)
    loss, _, _ = contrast(recorded, count, temperature=learned)
    (gradient,) = torch.autograd.grad(loss.total, learned)
    torch.testing.assert_close(
        gradient, recorded[f"{name}.grad_area.contra_temp"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("name", "count", "temperature"), CASES)
def test_the_matching_loss_is_the_published_one(
    recorded: Tensors, name: str, count: int, temperature: float
) -> None:
    logits = recorded[f"{name}.itm_logits"]
    loss = matching_loss(logits, num_right=len(logits) // 3)
    torch.testing.assert_close(loss, recorded[f"{name}.itm_ce_unweighted"], rtol=1e-5, atol=1e-5)
