"""What a rank contrasts its own texts and items with: those of all ranks."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.collectives import gather, own_rank
from gram.losses import (
    ContrastiveLoss,
    Tuples,
    area_contrastive_loss,
    cosine_contrastive_loss,
    eigenvalue_contrastive_loss,
    product_contrastive_loss,
    volume_contrastive_loss,
)
from tests.ranks import run_ranks

Loss = Callable[..., ContrastiveLoss]

ANY_COUNT = {
    "volume": volume_contrastive_loss,
    "cosine": cosine_contrastive_loss,
    "eigenvalue": eigenvalue_contrastive_loss,
    "product": product_contrastive_loss,
}
EVERY = pytest.mark.parametrize(
    "loss", [*ANY_COUNT.values(), area_contrastive_loss], ids=[*ANY_COUNT, "area"]
)
MASKABLE = pytest.mark.parametrize("loss", ANY_COUNT.values(), ids=ANY_COUNT)


def unit(*shape: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1)


def own_and_all(first: int, *, count: int = 2) -> tuple[Tuples, Tuples]:
    """Give three tuples of a rank, and the nine of all ranks, some without a modality."""
    present_nk = torch.rand(9, count, generator=torch.Generator().manual_seed(5)) < 0.7
    present_nk[:, 0] = True
    everyone = Tuples(unit(9, 16, seed=1), unit(9, count, 16, seed=2), present_nk, first)
    rows = slice(first, first + 3)
    own = Tuples(everyone.anchors_nd[rows], everyone.vectors_nkd[rows], present_nk[rows])
    return own, everyone


def of_rank(loss: Loss, own: Tuples, everyone: Tuples) -> ContrastiveLoss:
    return loss(own, temperature=0.07, gathered=everyone)


@EVERY
def test_a_batch_gathered_from_one_rank_has_the_same_loss(loss: Loss) -> None:
    own = Tuples(unit(6, 16, seed=1), unit(6, 2, 16, seed=2))
    plain = loss(own, temperature=0.07)
    assert float(of_rank(loss, own, own).total) == pytest.approx(float(plain.total))


@pytest.mark.parametrize(
    "loss", [volume_contrastive_loss, product_contrastive_loss, eigenvalue_contrastive_loss]
)
def test_the_mean_over_ranks_is_the_loss_of_the_whole_batch(loss: Loss) -> None:
    _, everyone = own_and_all(0)
    whole = loss(everyone._replace(first=0), temperature=0.07)
    parts = [float(of_rank(loss, *own_and_all(first)).total) for first in (0, 3, 6)]
    assert sum(parts) / 3 == pytest.approx(float(whole.total))


@MASKABLE
@pytest.mark.parametrize("first", [0, 3, 6])
def test_a_rank_compares_its_texts_with_all_items_and_its_items_with_all_texts(
    loss: Loss, first: int
) -> None:
    own, everyone = own_and_all(first)
    whole = loss(everyone._replace(first=0), temperature=0.07)
    parts, rows = of_rank(loss, own, everyone), slice(first, first + 3)
    torch.testing.assert_close(parts.text_distance_bn, whole.text_distance_bn[rows])
    torch.testing.assert_close(parts.item_distance_bn, whole.item_distance_bn[rows])


def test_the_cosine_loss_of_a_rank_finds_its_own_among_those_that_have_the_modality() -> None:
    own, everyone = own_and_all(3)
    assert everyone.present_nk is not None
    expected = []
    for k in range(2):
        all_rows = [row for row in range(9) if everyone.present_nk[row, k]]
        rows = [row for row in all_rows if 3 <= row < 6]
        losses = []
        for row in rows:
            logits = [
                float(everyone.anchors_nd[row] @ everyone.vectors_nkd[other, k]) / 0.07
                for other in all_rows
            ]
            total = sum(math.exp(logit) for logit in logits)
            losses.append(-math.log(math.exp(logits[all_rows.index(row)]) / total))
        expected.append(sum(losses) / len(losses))
    loss = of_rank(cosine_contrastive_loss, own, everyone)
    assert float(loss.text_to_item) == pytest.approx(sum(expected) / 2)


def test_with_detached_copies_texts_learn_from_their_direction_alone() -> None:
    own = Tuples(unit(6, 16, seed=1).requires_grad_(), unit(6, 2, 16, seed=2))
    copies = Tuples(own.anchors_nd.detach(), own.vectors_nkd)
    loss = of_rank(volume_contrastive_loss, own, copies)
    whole = torch.autograd.grad(loss.total, own.anchors_nd, retain_graph=True)
    alone = torch.autograd.grad(loss.text_to_item / 2, own.anchors_nd)
    torch.testing.assert_close(whole, alone)


# --- two processes ----------------------------------------------------------------------------


def gradients_in_rank(kind: str) -> list[Tensor]:
    """Give a rank's gradients of its own texts and items, of three each."""
    own = Tuples(unit(6, 16, seed=1), unit(6, 2, 16, seed=2))
    rows = slice(3 * own_rank(), 3 * own_rank() + 3)
    leaves = [own.anchors_nd[rows].requires_grad_(), own.vectors_nkd[rows].requires_grad_()]
    anchors_nd, vectors_nkd = gather(leaves, gathering="connected")
    loss = ANY_COUNT[kind](
        Tuples(*leaves),
        temperature=0.07,
        gathered=Tuples(anchors_nd, vectors_nkd, None, rows.start),
    )
    return list(torch.autograd.grad(loss.total / 2, leaves))


def gradients_of_all_kinds() -> dict[str, list[Tensor]]:
    return {kind: gradients_in_rank(kind) for kind in ANY_COUNT}


@pytest.fixture(scope="module")
def of_two() -> list[dict[str, list[Tensor]]]:
    return run_ranks(gradients_of_all_kinds)


@pytest.mark.parametrize("kind", ANY_COUNT)
def test_two_processes_learn_what_one_learns(
    of_two: list[dict[str, list[Tensor]]], kind: str
) -> None:
    leaves = [unit(6, 16, seed=1).requires_grad_(), unit(6, 2, 16, seed=2).requires_grad_()]
    loss = ANY_COUNT[kind](Tuples(*leaves), temperature=0.07)
    whole = torch.autograd.grad(loss.total, leaves)
    for i, expected in enumerate(whole):
        torch.testing.assert_close(torch.cat([one[kind][i] for one in of_two]), expected)
