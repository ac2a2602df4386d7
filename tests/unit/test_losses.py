"""The contrastive losses, against loops in numpy, and their properties."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gram.losses import (
    EIGENVALUE_TEMPERATURE,
    ContrastiveLoss,
    Tuples,
    area_contrastive_loss,
    cosine_contrastive_loss,
    eigenvalue_contrastive_loss,
    product_contrastive_loss,
    stack_items,
    volume_contrastive_loss,
)
from gram.types import Embeddings, Modality

Floats = NDArray[np.float64]
Loss = Callable[..., ContrastiveLoss]

ANY_COUNT = {
    "volume": volume_contrastive_loss,
    "cosine": cosine_contrastive_loss,
    "eigenvalue": eigenvalue_contrastive_loss,
    "product": product_contrastive_loss,
}
EVERY = pytest.mark.parametrize(
    "loss",
    [*ANY_COUNT.values(), area_contrastive_loss],
    ids=[*ANY_COUNT, "area"],
)
MASKABLE = pytest.mark.parametrize("loss", ANY_COUNT.values(), ids=ANY_COUNT)
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
        Tuples(anchors_bd, vectors_bkd), temperature=0.07, label_smoothing=smoothing
    )
    expected = [
        looped_cross_entropy(matrix, temperature=0.07, smoothing=smoothing)
        for matrix in (volumes, volumes.T)
    ]
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected, rel=1e-9)


def test_the_volume_loss_of_text_and_video_compares_sines() -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 1, 16, seed=2)
    sine_bb = (1 - (anchors_bd @ vectors_bkd[:, 0].mT).square()).sqrt().numpy()
    loss = volume_contrastive_loss(Tuples(anchors_bd, vectors_bkd), temperature=0.5)
    expected = looped_cross_entropy(sine_bb, temperature=0.5, smoothing=0.0)
    assert float(loss.text_to_item) == pytest.approx(expected)


def test_a_missing_modality_leaves_the_volume_of_the_others() -> None:
    anchors_bd, vectors_bkd = unit(5, 16, seed=1), unit(5, 3, 16, seed=2)
    present_bk = torch.tensor([[True, True, False]] * 5)
    with_it = volume_contrastive_loss(Tuples(anchors_bd, vectors_bkd, present_bk), temperature=0.07)
    without = volume_contrastive_loss(Tuples(anchors_bd, vectors_bkd[:, :2]), temperature=0.07)
    assert float(with_it.total) == pytest.approx(float(without.total))


# --- cosine -----------------------------------------------------------------------------------


@COUNTS
def test_the_cosine_loss_is_the_mean_over_modalities(count: int) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, count, 16, seed=2)
    loss = cosine_contrastive_loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    expected = looped_cosine_loss(
        anchors_bd, vectors_bkd, torch.ones(6, count, dtype=torch.bool), temperature=0.07
    )
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected, rel=1e-5)


def test_the_cosine_loss_leaves_items_out_of_the_modalities_that_they_lack() -> None:
    anchors_bd, vectors_bkd = unit(4, 16, seed=1), unit(4, 3, 16, seed=2)
    present_bk = torch.tensor(
        [[True, True, False], [True, False, False], [True, True, True], [True, True, False]]
    )
    loss = cosine_contrastive_loss(Tuples(anchors_bd, vectors_bkd, present_bk), temperature=0.07)
    expected = looped_cosine_loss(anchors_bd, vectors_bkd, present_bk, temperature=0.07)
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected, rel=1e-5)


def test_the_cosine_distance_is_one_minus_the_mean_over_what_an_item_has() -> None:
    anchors_bd, vectors_bkd = unit(3, 16, seed=1), unit(3, 2, 16, seed=2)
    present_bk = torch.tensor([[True, True], [True, False], [True, True]])
    loss = cosine_contrastive_loss(Tuples(anchors_bd, vectors_bkd, present_bk), temperature=0.07)
    cosine_bbk = torch.einsum("id,jkd->ijk", anchors_bd, vectors_bkd)
    expected = 1 - torch.stack(
        [cosine_bbk[:, 0].mean(dim=-1), cosine_bbk[:, 1, 0], cosine_bbk[:, 2].mean(dim=-1)], dim=1
    )
    torch.testing.assert_close(loss.text_distance_bn.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_cosine_loss_says_when_nothing_can_be_contrasted() -> None:
    present_bk = torch.tensor([[True, False], [False, True]])
    with pytest.raises(ValueError, match="no modality of this batch has two items; use larger"):
        cosine_contrastive_loss(
            Tuples(unit(2, 8), unit(2, 2, 8), present_bk), temperature=torch.tensor(0.07)
        )


# --- product ----------------------------------------------------------------------------------


@COUNTS
def test_the_product_loss_is_the_cross_entropy_of_products(count: int) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, count, 16, seed=2)
    distances = np.zeros((6, 6))
    for i, text in enumerate(anchors_bd.tolist()):
        for j, item in enumerate(vectors_bkd.tolist()):
            entries = zip(text, *item, strict=True)
            distances[i, j] = -sum(math.prod(entry) for entry in entries)
    loss = product_contrastive_loss(
        Tuples(anchors_bd, vectors_bkd), temperature=0.07, label_smoothing=0.1
    )
    expected = [
        looped_cross_entropy(matrix, temperature=0.07, smoothing=0.1)
        for matrix in (distances, distances.T)
    ]
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected)


# --- area -------------------------------------------------------------------------------------


def test_the_area_loss_is_the_cross_entropy_of_areas() -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 2, 16, seed=2)
    areas = np.zeros((6, 6))
    for i, text in enumerate(anchors_bd.numpy()):
        for j, (video, audio) in enumerate(vectors_bkd.numpy()):
            sides = [np.linalg.norm(text - video), np.linalg.norm(text - audio)]
            sides.append(np.linalg.norm(video - audio))
            half = sum(sides) / 2
            areas[i, j] = math.sqrt(half * math.prod(half - side for side in sides))
    loss = area_contrastive_loss(
        Tuples(anchors_bd, vectors_bkd), temperature=0.07, label_smoothing=0.1
    )
    expected = [
        looped_cross_entropy(matrix, temperature=0.07, smoothing=0.1) for matrix in (areas, areas.T)
    ]
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 3])
def test_the_area_loss_says_that_it_needs_two_modalities(count: int) -> None:
    with pytest.raises(ValueError, match=f"a text and two vectors, found {count} vectors; use two"):
        area_contrastive_loss(Tuples(unit(3, 8), unit(3, count, 8)), temperature=0.07)


def test_the_area_loss_says_that_nothing_may_be_missing() -> None:
    present_bk = torch.tensor([[True, True], [True, False], [False, True]])
    with pytest.raises(ValueError, match="found 2 items that lack one; leave them out"):
        area_contrastive_loss(Tuples(unit(3, 8), unit(3, 2, 8), present_bk), temperature=0.07)


# --- eigenvalue -------------------------------------------------------------------------------


def looped_spectra(anchors_bd: Tensor, vectors_bkd: Tensor) -> tuple[list[Floats], list[Floats]]:
    """Give each tuple's singular values and leading direction, on the side of its sum."""
    values, directions = [], []
    for text, item in zip(anchors_bd.numpy(), vectors_bkd.numpy(), strict=True):
        rows = np.stack([text, *item])
        _, singular, right = np.linalg.svd(rows, full_matrices=False)
        values.append(singular)
        directions.append(right[0] * np.sign(right[0] @ rows.sum(axis=0)))
    return values, directions


@COUNTS
def test_the_alignment_is_the_softmax_over_singular_values(count: int) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, count, 16, seed=2)
    values, _ = looped_spectra(anchors_bd, vectors_bkd)
    expected = []
    for singular in values:
        odds = [math.exp(value / EIGENVALUE_TEMPERATURE) for value in singular]
        expected.append(-math.log(odds[0] / sum(odds)))
    loss = eigenvalue_contrastive_loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    assert float(loss.alignment) == pytest.approx(sum(expected) / 6)


@COUNTS
def test_the_contrast_of_the_eigenvalue_loss_is_that_of_leading_directions(count: int) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, count, 16, seed=2)
    _, directions = looped_spectra(anchors_bd, vectors_bkd)
    distances = -np.array([[one @ other for other in directions] for one in directions])
    expected = looped_cross_entropy(distances, temperature=0.07, smoothing=0.0)
    loss = eigenvalue_contrastive_loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    assert [float(loss.text_to_item), float(loss.item_to_text)] == pytest.approx([expected] * 2)


def test_aligned_tuples_have_no_alignment_left_to_learn() -> None:
    anchors_bd = unit(4, 16, seed=1)
    vectors_bkd = anchors_bd.unsqueeze(1).repeat(1, 2, 1)
    loss = eigenvalue_contrastive_loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    assert float(loss.alignment) < 1e-10


def test_the_alignment_does_not_move_the_temperature() -> None:
    temperature = torch.tensor(0.07, requires_grad=True)
    loss = eigenvalue_contrastive_loss(
        Tuples(unit(4, 16, seed=1).requires_grad_(), unit(4, 2, 16, seed=2)),
        temperature=temperature,
    )
    assert torch.autograd.grad(loss.alignment, temperature, allow_unused=True) == (None,)


# --- every loss -------------------------------------------------------------------------------


@MASKABLE
@pytest.mark.parametrize("order", [(0, 2, 1, 3), (3, 2, 1, 0), (1, 3, 0, 2)], ids=str)
def test_the_order_of_modalities_does_not_matter(loss: Loss, order: tuple[int, ...]) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 4, 16, seed=2)
    present_bk = torch.rand(6, 4, generator=torch.Generator().manual_seed(3)) < 0.8
    straight = loss(Tuples(anchors_bd, vectors_bkd, present_bk), temperature=0.07)
    permuted = loss(
        Tuples(anchors_bd, vectors_bkd[:, order], present_bk[:, order]), temperature=0.07
    )
    assert float(permuted.total) == pytest.approx(float(straight.total), rel=1e-6)


@EVERY
def test_the_order_of_the_batch_does_not_matter(loss: Loss) -> None:
    anchors_bd, vectors_bkd = unit(6, 16, seed=1), unit(6, 2, 16, seed=2)
    straight = loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    turned = loss(Tuples(anchors_bd.flip(0), vectors_bkd.flip(0)), temperature=0.07)
    assert float(turned.total) == pytest.approx(float(straight.total), rel=1e-6)


@EVERY
def test_the_total_is_the_mean_of_both_directions_and_the_alignment(loss: Loss) -> None:
    parts = loss(Tuples(unit(6, 16, seed=1), unit(6, 2, 16, seed=2)), temperature=0.07)
    assert float(parts.total) == pytest.approx(
        (float(parts.text_to_item) + float(parts.item_to_text)) / 2 + float(parts.alignment)
    )


@pytest.mark.parametrize(
    "loss",
    [
        volume_contrastive_loss,
        cosine_contrastive_loss,
        eigenvalue_contrastive_loss,
        area_contrastive_loss,
    ],
)
def test_agreeing_items_lose_less_than_random_ones(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1)
    agreeing_bkd = normalize(anchors_bd.unsqueeze(1) + 0.3 * unit(6, 2, 16, seed=2), dim=-1)
    agreeing = loss(Tuples(anchors_bd, agreeing_bkd), temperature=0.07)
    random = loss(Tuples(anchors_bd, unit(6, 2, 16, seed=2)), temperature=0.07)
    assert float(agreeing.total) < float(random.total)


@EVERY
def test_what_was_compared_carries_no_gradient(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1).requires_grad_()
    parts = loss(Tuples(anchors_bd, unit(6, 2, 16, seed=2)), temperature=0.07)
    assert parts.text_distance_bn.shape == parts.item_distance_bn.shape == (6, 6)
    assert not parts.text_distance_bn.requires_grad
    assert not parts.item_distance_bn.requires_grad


@EVERY
def test_texts_items_and_temperature_learn(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1).requires_grad_()
    vectors_bkd = unit(6, 2, 16, seed=2).requires_grad_()
    temperature = torch.tensor(0.07, requires_grad=True)
    total = loss(Tuples(anchors_bd, vectors_bkd), temperature=temperature).total
    gradients = torch.autograd.grad(total, (anchors_bd, vectors_bkd, temperature))
    assert all(gradient.abs().min() > 0 for gradient in gradients)


@EVERY
def test_duplicated_modalities_have_finite_gradients(loss: Loss) -> None:
    anchors_bd = unit(4, 16, dtype=torch.float32).requires_grad_()
    vectors_bkd = anchors_bd.detach().unsqueeze(1).repeat(1, 2, 1).requires_grad_()
    total = loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07).total
    gradients = torch.autograd.grad(total, (anchors_bd, vectors_bkd))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@EVERY
def test_autocast_changes_no_loss(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1, dtype=torch.float32)
    vectors_bkd = unit(6, 2, 16, seed=2, dtype=torch.float32)
    plain = loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    assert float(cast.total) == float(plain.total)


@EVERY
def test_half_precision_vectors_give_a_float32_loss(loss: Loss) -> None:
    anchors_bd = unit(6, 16, seed=1, dtype=torch.bfloat16)
    vectors_bkd = unit(6, 2, 16, seed=2, dtype=torch.bfloat16)
    parts = loss(Tuples(anchors_bd, vectors_bkd), temperature=0.07)
    assert parts.total.dtype == torch.float32


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
