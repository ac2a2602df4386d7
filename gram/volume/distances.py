"""Distances of anchors and items as users call them, with all arguments checked.

Shape letters of this file: B tuples, N anchors, M items, K vectors of an item, D embedding width.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gram.volume.checks import check_pairs, check_vectors
from gram.volume.gradients import pair_distances
from gram.volume.nearest import Nearest, find_nearest
from gram.volume.tiles import MEMORY_MIB, PairSettings
from gram.volume.tuples import tuple_volumes

PairScore = Literal["volume", "residual", "trusted_residual"]
"""A distance of a text and an item; of each, small is near."""


def gram_volume(vectors_bmd: Tensor, *, memory_mib: float = MEMORY_MIB) -> Tensor:
    """Compute the volume that each tuple of vectors spans.

    The volume is the root of the determinant of the Gram matrix. It is the product of heights: of
    each vector's distance from the span of those before it. For unit vectors it lies in [0, 1]:
    near 0 when they point the same way, 1 when they are orthogonal. Small is near. It does not
    see signs: a vector and its opposite span the same volume.

    Autocast is off inside: in bfloat16 well aligned vectors cannot be told from equal ones.

    Args:
        vectors_bmd: Vectors, usually of unit length, float, shape (B, M, D) with 1 <= M <= D.
        memory_mib: Memory in MiB for what is computed beside the output, and in backward beside
            the gradient; one tuple at least.

    Returns:
        Volumes, float32 (float64 if the vectors are), shape (B,), unitless.

    Raises:
        ValueError: If ``vectors_bmd`` has not three axes, or more vectors than dimensions, or the
            memory is not above 0.
        RuntimeError: If the gradient of the gradient is asked for.

    Example:
        >>> gram_volume(torch.eye(3).unsqueeze(0))
        tensor([1.])
    """
    _check_tuples(vectors_bmd)
    return tuple_volumes(vectors_bmd, memory_mib=_checked_memory(memory_mib))


def pairwise_volume(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    *,
    present_mk: Tensor | None = None,
    memory_mib: float = MEMORY_MIB,
) -> Tensor:
    """Compute the volume that each anchor spans together with each item's vectors.

    With W an orthonormal basis of the item's own vectors,
    ``volume(t, item) = volume(item) * sqrt(|t|^2 - |W t|^2)``. Small is near.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        present_mk: True where an item has the vector, bool, shape (M, K); None: all are there.
            A missing vector counts as orthogonal to all others, so it changes no volume. What
            stands in its place is not read and gets no gradient.
        memory_mib: Memory in MiB for what is computed beside the output, and in backward beside
            the gradients, which are float32 until they are whole. Up to half of it is held from
            forward to backward, if that spares backward the products. Less is slower; below what
            one anchor with one item needs it has no effect.

    Returns:
        Volumes, float32 (float64 if an input is), shape (N, M), unitless, in [0, 1] for unit
        vectors.

    Raises:
        ValueError: If a shape is wrong, an item has as many vectors as dimensions, or the memory
            is not above 0.
        RuntimeError: If the gradient of the gradient is asked for.
    """
    _check_pairs(anchors_nd, vectors_mkd, present_mk)
    settings = PairSettings(has_volume=True, memory_mib=_checked_memory(memory_mib))
    return pair_distances(anchors_nd, vectors_mkd, present_mk, settings=settings)


def pairwise_residual(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    *,
    present_mk: Tensor | None = None,
    memory_mib: float = MEMORY_MIB,
) -> Tensor:
    """Compute each anchor's distance from the span of each item's vectors.

    It is the volume without the item's own factor, so that an item whose vectors agree with each
    other is not near to every text. Small is near. Arguments, shapes and errors are those of
    ``pairwise_volume``.

    Returns:
        Distances, float32 (float64 if an input is), shape (N, M), unitless, in [0, 1] for unit
        anchors.
    """
    _check_pairs(anchors_nd, vectors_mkd, present_mk)
    settings = PairSettings(has_volume=False, memory_mib=_checked_memory(memory_mib))
    return pair_distances(anchors_nd, vectors_mkd, present_mk, settings=settings)


def pairwise_trusted_residual(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    *,
    lambdas: Sequence[float],
    present_mk: Tensor | None = None,
    memory_mib: float = MEMORY_MIB,
) -> Tensor:
    """Compute the residual with a trust for each modality.

    With G the Gram matrix of the item's vectors and p the anchor's dot products with them, the
    similarity is ``p' (G + diag(lambdas))^-1 p``, and the distance is
    ``sqrt(|t|^2 - similarity)``. Small is near. A lambda of 0 trusts a modality fully, a large one
    hardly, an infinite one not at all: then the vector might as well be missing. With all lambdas
    0 it is the residual, also where G is singular: there the height of a vector over those before
    it is lifted to its floor, so that of equal vectors the first one counts.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        lambdas: One a modality, from 0 on, unitless for unit vectors. They get no gradient.
        present_mk: As in ``pairwise_volume``.
        memory_mib: As in ``pairwise_volume``.

    Returns:
        Distances, float32 (float64 if an input is), shape (N, M), unitless, in [0, 1] for unit
        anchors.

    Raises:
        ValueError: As ``pairwise_volume``, or if the lambdas are not K numbers from 0 on.
        RuntimeError: If the gradient of the gradient is asked for.
    """
    _check_pairs(anchors_nd, vectors_mkd, present_mk)
    settings = PairSettings(
        has_volume=False,
        lambdas=_checked_lambdas(lambdas, count=vectors_mkd.shape[1]),
        memory_mib=_checked_memory(memory_mib),
    )
    return pair_distances(anchors_nd, vectors_mkd, present_mk, settings=settings)


@torch.no_grad()
def nearest_items(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    *,
    k: int,
    score: PairScore = "volume",
    lambdas: Sequence[float] | None = None,
    present_mk: Tensor | None = None,
    memory_mib: float = MEMORY_MIB,
) -> Nearest:
    """Find the nearest items of every anchor without ever holding all distances.

    Distances have no gradient here. Equal ones are those that are equal to the last bit; the
    lower index comes first.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        k: How many items, from 1 on. Where there are fewer, all of them are given: M columns.
        score: Which distance.
        lambdas: For the trusted residual alone: as in ``pairwise_trusted_residual``.
        present_mk: As in ``pairwise_volume``.
        memory_mib: Memory in MiB for what is computed beside what is returned.

    Raises:
        ValueError: As the distance does, if k is below 1, or if lambdas and score do not fit.
    """
    _check_pairs(anchors_nd, vectors_mkd, present_mk)
    if k < 1:
        raise ValueError(f"k is the number of items to find, got {k}; give 1 or more")
    if (score == "trusted_residual") != (lambdas is not None):
        raise ValueError(
            f"the score {score!r} got lambdas={lambdas}; "
            "give lambdas with the trusted residual, and with no other score"
        )
    settings = PairSettings(
        has_volume=score == "volume",
        lambdas=None if lambdas is None else _checked_lambdas(lambdas, count=vectors_mkd.shape[1]),
        memory_mib=_checked_memory(memory_mib),
    )
    return find_nearest(anchors_nd, vectors_mkd, present_mk, k=k, settings=settings)


def _check_tuples(vectors_bmd: Tensor) -> None:
    check_vectors(vectors_bmd, None)
    _, count, width = vectors_bmd.shape
    if count > width:
        raise ValueError(
            f"{count} vectors of width {width} always span volume 0; "
            "use fewer modalities or a wider embedding"
        )


def _check_pairs(anchors_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor | None) -> None:
    check_pairs(anchors_nd, vectors_mkd, present_mk)
    _, count, width = vectors_mkd.shape
    if count >= width:
        raise ValueError(
            f"an anchor with {count} vectors of width {width} always spans volume 0; "
            "use fewer modalities or a wider embedding"
        )


def _checked_lambdas(lambdas: Sequence[float], *, count: int) -> tuple[float, ...]:
    checked = tuple(float(one) for one in lambdas)
    if len(checked) != count:
        raise ValueError(
            f"an item has {count} vectors, got {len(checked)} lambdas; give one for each"
        )
    if any(math.isnan(one) or one < 0 for one in checked):
        raise ValueError(f"lambdas are trusts from 0 on, got {list(checked)}; 0 trusts fully")
    return checked


def _checked_memory(memory_mib: float) -> float:
    if not memory_mib > 0 or math.isinf(memory_mib):
        raise ValueError(f"memory_mib needs a number of MiB above 0, got {memory_mib}")
    return memory_mib
