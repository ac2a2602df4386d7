"""The losses, against loops in numpy, and their properties."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gram.losses import (
    ContrastiveLoss,
    cosine_contrastive_loss,
    draw_hard_negatives,
    matching_loss,
    stack_items,
    volume_contrastive_loss,
)
from gram.types import Embeddings, Modality

Floats = NDArray[np.float64]
Loss = Callable[..., ContrastiveLoss]

BOTH = pytest.mark.parametrize("loss", [volume_contrastive_loss, cosine_contrastive_loss])
COUNTS = pytest.mark.parametrize("count", [1, 2, 3, 4], ids=lambda count: f"text_and_{count}")


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1).to(dtype)


def looped_cross_entropy(distance_bb: Floats, *, temperature: float, smoothing: float) -> float:
    """Give the mean over rows of the smoothed cross entropy; the diagonal is right."""
    losses = []
    for row, distances in enumerate(distance_bb):
        logits = [-distance / temperature for distance in distances]
        total = sum(math.exp(logit) for logit in logits)
        surprise = [-math.log(math.exp(logit) / total) for logit in logits]
        losses.append((1 - smoothing) * surprise[row] + smoothing * sum(surprise) / len(surprise))
    return sum(losses) / len(losses)


def looped_volumes(anchors_bd: Tensor, vectors_bkd: Tensor) -> Floats:
    """Give the volume of each text with each item, by determinants."""
    texts, items = anchors_bd.double().numpy(), vectors_bkd.double().numpy()
    volumes = np.zeros((len(texts), len(items)))
    for i, text in enumerate(texts):
        for j, item in enumerate(items):
            tuple_kd = np.stack([text, *item])
            volumes[i, j] = math.sqrt(np.linalg.det(tuple_kd @ tuple_kd.T))
    return volumes


def looped_cosine_loss(
    anchors_bd: Tensor, vectors_bkd: Tensor, present_bk: Tensor, *, temperature: float
) -> tuple[float, float]:
    """Give the mean over modalities of each direction's cross entropy, without smoothing."""
    texts, items = anchors_bd.double().numpy(), vectors_bkd.double().numpy()
    directions: tuple[list[float], list[float]] = ([], [])
    for k in range(items.shape[1]):
        rows = [row for row in range(len(items)) if present_bk[row, k]]
        if len(rows) < 2:
            continue
        distance = np.array(
            [[1 - float(np.dot(texts[i], items[j, k])) for j in rows] for i in rows]
        )
        for losses, matrix in zip(directions, (distance, distance.T), strict=True):
            losses.append(looped_cross_entropy(matrix, temperature=temperature, smoothing=0.0))
    return float(np.mean(directions[0])), float(np.mean(directions[1]))


# --- volume -----------------------------------------------------------------------------------


@COUNTS
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_volume_loss_is_the_cross_entropy_of_volumes(count: int, smoothing: float) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, count, 16, seed=2)
    volumes = looped_volumes(anchors_bd, vectors_bkd)
    loss = volume_contrastive_loss(
        anchors_bd, vectors_bkd, present_bk=None, temperature=0.07, label_smoothing=smoothing
    )
    expected = [
        looped_cross_entropy(matrix, temperature=0.07, smoothing=smoothing)
        for matrix in (volumes, volumes.T)
    ]
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected, rel=1e-9)


def test_the_volume_loss_of_text_and_video_compares_sines() -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 1, 16, seed=2)
    sine_bb = (1 - (anchors_bd @ vectors_bkd[:, 0].mT).square()).sqrt().numpy()
    loss = volume_contrastive_loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.5)
    expected = looped_cross_entropy(sine_bb, temperature=0.5, smoothing=0.0)
    assert float(loss.text_to_item) == pytest.approx(expected)


def test_a_missing_modality_leaves_the_volume_of_the_others() -> None:
    anchors_bd, vectors_bkd = unit(5, 16, seed=1), unit(5, 3, 16, seed=2)
    present_bk = torch.tensor([[True, True, False]] * 5)
    with_it = volume_contrastive_loss(
        anchors_bd, vectors_bkd, present_bk=present_bk, temperature=0.07
    )
    without = volume_contrastive_loss(
        anchors_bd, vectors_bkd[:, :2], present_bk=None, temperature=0.07
    )
    assert float(with_it.total) == pytest.approx(float(without.total))


# --- cosine -----------------------------------------------------------------------------------


@COUNTS
def test_the_cosine_loss_is_the_mean_over_modalities(count: int) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, count, 16, seed=2)
    loss = cosine_contrastive_loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.07)
    expected = looped_cosine_loss(
        anchors_bd, vectors_bkd, torch.ones(6, count, dtype=torch.bool), temperature=0.07
    )
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected, rel=1e-5)


def test_the_cosine_loss_leaves_items_out_of_the_modalities_that_they_lack() -> None:
    anchors_bd, vectors_bkd = unit(4, 16, seed=1), unit(4, 3, 16, seed=2)
    present_bk = torch.tensor(
        [[True, True, False], [True, False, False], [True, True, True], [True, True, False]]
    )
    loss = cosine_contrastive_loss(anchors_bd, vectors_bkd, present_bk=present_bk, temperature=0.07)
    expected = looped_cosine_loss(anchors_bd, vectors_bkd, present_bk, temperature=0.07)
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected, rel=1e-5)


def test_the_cosine_distance_is_one_minus_the_mean_over_what_an_item_has() -> None:
    anchors_bd, vectors_bkd = unit(3, 16, seed=1), unit(3, 2, 16, seed=2)
    present_bk = torch.tensor([[True, True], [True, False], [True, True]])
    loss = cosine_contrastive_loss(anchors_bd, vectors_bkd, present_bk=present_bk, temperature=0.07)
    cosine_bbk = torch.einsum("id,jkd->ijk", anchors_bd, vectors_bkd)
    expected = 1 - torch.stack(
        [cosine_bbk[:, 0].mean(dim=-1), cosine_bbk[:, 1, 0], cosine_bbk[:, 2].mean(dim=-1)], dim=1
    )
    torch.testing.assert_close(loss.distance_bb.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_cosine_loss_says_when_nothing_can_be_contrasted() -> None:
    present_bk = torch.tensor([[True, False], [False, True]])
    with pytest.raises(ValueError, match="no modality of this batch has two items; use larger"):
        cosine_contrastive_loss(
            unit(2, 8), unit(2, 2, 8), present_bk=present_bk, temperature=torch.tensor(0.07)
        )


# --- both -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("order", [(0, 2, 1, 3), (3, 2, 1, 0), (1, 3, 0, 2)], ids=str)
def test_the_order_of_modalities_does_not_matter(loss: Loss, order: tuple[int, ...]) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 4, 16, seed=2)
    present_bk = torch.rand(6, 4, generator=torch.Generator().manual_seed(3)) < 0.8
    straight = loss(anchors_bd, vectors_bkd, present_bk=present_bk, temperature=0.07)
    permuted = loss(
        anchors_bd, vectors_bkd[:, order], present_bk=present_bk[:, order], temperature=0.07
    )
    assert float(permuted.total) == pytest.approx(float(straight.total), rel=1e-6)


@BOTH
def test_the_order_of_the_batch_does_not_matter(loss: Loss) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 2, 16, seed=2)
    straight = loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.07)
    turned = loss(anchors_bd.flip(0), vectors_bkd.flip(0), present_bk=None, temperature=0.07)
    assert float(turned.total) == pytest.approx(float(straight.total), rel=1e-6)


@BOTH
def test_the_total_is_the_mean_of_both_directions(loss: Loss) -> None:
    parts = loss(unit(6, 16, seed=1), unit(6, 2, 16, seed=2), present_bk=None, temperature=0.07)
    assert float(parts.total) == pytest.approx(
        (float(parts.text_to_item) + float(parts.item_to_text)) / 2
    )


@BOTH
def test_agreeing_items_lose_less_than_random_ones(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1)
    agreeing_bkd = normalize(anchors_bd.unsqueeze(1) + 0.3 * unit(6, 2, 16, seed=2), dim=-1)
    agreeing = loss(anchors_bd, agreeing_bkd, present_bk=None, temperature=0.07)
    random = loss(anchors_bd, unit(6, 2, 16, seed=2), present_bk=None, temperature=0.07)
    assert float(agreeing.total) < float(random.total)


@BOTH
def test_what_was_compared_carries_no_gradient(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1).requires_grad_()
    parts = loss(anchors_bd, unit(6, 2, 16, seed=2), present_bk=None, temperature=0.07)
    assert parts.distance_bb.shape == (6, 6)
    assert not parts.distance_bb.requires_grad


@BOTH
def test_texts_items_and_temperature_learn(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1).requires_grad_()
    vectors_bkd = unit(6, 3, 16, seed=2).requires_grad_()
    temperature = torch.tensor(0.07, requires_grad=True)
    total = loss(anchors_bd, vectors_bkd, present_bk=None, temperature=temperature).total
    gradients = torch.autograd.grad(total, (anchors_bd, vectors_bkd, temperature))
    assert all(gradient.abs().min() > 0 for gradient in gradients)


@BOTH
def test_duplicated_modalities_have_finite_gradients(loss: Loss) -> None:
    anchors_bd = unit(4, 16, dtype=torch.float32).requires_grad_()
    vectors_bkd = anchors_bd.detach().unsqueeze(1).repeat(1, 3, 1).requires_grad_()
    total = loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.07).total
    gradients = torch.autograd.grad(total, (anchors_bd, vectors_bkd))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@BOTH
def test_autocast_changes_no_loss(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1, dtype=torch.float32)
    vectors_bkd = unit(6, 3, 16, seed=2, dtype=torch.float32)
    plain = loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.07)
    assert float(cast.total) == float(plain.total)


@BOTH
def test_half_precision_vectors_give_a_float32_loss(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1, dtype=torch.bfloat16)
    vectors_bkd = unit(6, 3, 16, seed=2, dtype=torch.bfloat16)
    parts = loss(anchors_bd, vectors_bkd, present_bk=None, temperature=0.07)
    assert parts.total.dtype == torch.float32


# --- matching ---------------------------------------------------------------------------------


def test_no_one_draws_the_own_partner() -> None:
    torch.manual_seed(0)
    distance_bb = 1 - torch.eye(8)
    drawn = [torch.stack(draw_hard_negatives(distance_bb, temperature=1e-3)) for _ in range(300)]
    assert not (torch.stack(drawn) == torch.arange(8)).any()


def test_a_batch_of_two_draws_the_other_one() -> None:
    items, texts = draw_hard_negatives(torch.rand(2, 2), temperature=0.07)
    assert (items.tolist(), texts.tolist()) == ([1, 0], [1, 0])


def test_a_text_draws_the_item_that_is_near_to_it() -> None:
    torch.manual_seed(0)
    distance_bb = torch.ones(6, 6)
    distance_bb[0, 4] = 0
    items = [int(draw_hard_negatives(distance_bb, temperature=0.02)[0][0]) for _ in range(50)]
    assert items.count(4) >= 48


def test_an_item_draws_the_text_that_is_near_to_it() -> None:
    torch.manual_seed(0)
    distance_bb = torch.ones(6, 6)
    distance_bb[0, 4] = 0
    texts = [int(draw_hard_negatives(distance_bb, temperature=0.02)[1][4]) for _ in range(50)]
    assert texts.count(0) >= 48


def test_the_chances_of_negatives_are_their_softmax() -> None:
    torch.manual_seed(0)
    distance_bb = torch.tensor([[0.0, 0.1, 0.2], [0.3, 0.0, 0.3], [0.3, 0.3, 0.0]])
    drawn = [int(draw_hard_negatives(distance_bb, temperature=0.1)[0][0]) for _ in range(1000)]
    near, far = math.exp(-1), math.exp(-2)
    assert drawn.count(1) / 1000 == pytest.approx(near / (near + far), abs=0.05)


def test_a_far_negative_is_drawn_now_and_then() -> None:
    torch.manual_seed(0)
    distance_bb = torch.tensor([[0.0, 5.0, 5.0], [9.0, 0.0, 9.0], [9.0, 9.0, 0.0]])
    drawn = {int(draw_hard_negatives(distance_bb, temperature=0.01)[0][0]) for _ in range(100)}
    assert drawn == {1, 2}


def test_the_same_seed_draws_the_same_negatives() -> None:
    distance_bb = torch.rand(16, 16, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    first = draw_hard_negatives(distance_bb, temperature=0.07)
    torch.manual_seed(5)
    again = draw_hard_negatives(distance_bb, temperature=0.07)
    assert torch.stack(first).tolist() == torch.stack(again).tolist()


def test_one_item_has_no_wrong_partner() -> None:
    with pytest.raises(ValueError, match="hard negatives need a batch of two items or more, got 1"):
        draw_hard_negatives(torch.zeros(1, 1), temperature=0.07)


def test_the_matching_loss_is_the_cross_entropy_of_right_and_wrong_pairs() -> None:
    logits = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    expected = []
    for pair, (no_match, match) in enumerate(logits.double().tolist()):
        right = match if pair < 2 else no_match
        expected.append(-math.log(math.exp(right) / (math.exp(no_match) + math.exp(match))))
    loss = matching_loss(logits, num_right=2)
    assert float(loss) == pytest.approx(sum(expected) / 6, rel=1e-6)


def test_the_matching_loss_is_float32_for_half_precision_logits() -> None:
    assert matching_loss(torch.zeros(6, 2, dtype=torch.bfloat16), num_right=2).dtype == (
        torch.float32
    )


# --- stacking ---------------------------------------------------------------------------------


def test_items_are_stacked_in_the_order_of_the_modalities_given() -> None:
    video, audio = unit(3, 8, seed=1), unit(3, 8, seed=2)
    embeddings = Embeddings(
        vectors={Modality.TEXT: unit(3, 8), Modality.AUDIO: audio, Modality.VIDEO: video},
        present={
            Modality.AUDIO: torch.tensor([True, False, True]),
            Modality.VIDEO: torch.tensor([True, True, True]),
        },
    )
    vectors_bkd, present_bk = stack_items(embeddings, (Modality.VIDEO, Modality.AUDIO))
    assert torch.equal(vectors_bkd, torch.stack([video, audio], dim=1))
    assert present_bk.tolist() == [[True, True], [True, False], [True, True]]
