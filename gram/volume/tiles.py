"""Distances of all texts from all items' spans, one tile at a time.

A tile is some anchors with some items. What a tile needs is freed before the next one, so that the
memory above inputs and output is what one tile needs, which a setting bounds.

Shape letters of this file: N anchors, M items, K vectors of an item, D embedding width; n and m
are those of one tile.
"""

from dataclasses import dataclass
from math import ceil, isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from gram.volume.basis import Basis, basis_numbers, item_basis
from gram.volume.checks import compute_dtype

MEMORY_MIB = 64.0
"""Memory of the tiles in MiB: large enough that matrix products run at full speed on a CPU."""

ONCE = (
    "the gradient of a {what} cannot be differentiated again, and its gradient was asked for; "
    "leave out create_graph=True, or compute the determinant of the Gram matrices with torch"
)

SORTING_NUMBERS = 16
"""Numbers for one pair that is sorted: values and places of 8 bytes, before and after."""


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """How pairs are measured.

    Attributes:
        has_volume: Whether distances are multiplied by the volume of the item's own vectors.
        lambdas: Added to the diagonal of each item's Gram matrix, one a vector; None: zeros.
        memory_mib: Memory of the tiles in MiB; one anchor with one item at least.
    """

    has_volume: bool
    lambdas: tuple[float, ...] | None = None
    memory_mib: float = MEMORY_MIB


class Tiles(NamedTuple):
    """Slices of items, and slices of anchors, none larger than memory allows."""

    items: list[slice]
    anchors: list[slice]


def plan_tiles(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    *,
    memory_mib: float,
    has_gradient: bool = False,
    num_kept: int | None = None,
) -> Tiles:
    """Choose tiles: half of the memory for the items' basis, half for the anchors with them.

    Args:
        anchors_nd: The anchors, float, shape (N, D).
        vectors_mkd: The items, float, shape (M, K, D).
        memory_mib: Memory in MiB.
        has_gradient: Whether the tile computes gradients.
        num_kept: How many items of each anchor a search keeps; None: nothing is sorted.
    """
    (items, count, width), anchors = vectors_mkd.shape, len(anchors_nd)
    dtype = compute_dtype(anchors_nd, vectors_mkd)
    half = int(memory_mib * 2**20 / 2 / dtype.itemsize)
    in_double = torch.float64.itemsize // dtype.itemsize
    item_numbers = basis_numbers(count, width, dtype=dtype)
    pair_numbers = count + 2
    anchor_numbers = in_double * width + (0 if anchors_nd.dtype == dtype else width)
    if has_gradient:
        item_numbers += count * width
        pair_numbers += count + 4
    if num_kept is not None:
        pair_numbers += SORTING_NUMBERS
        anchor_numbers += SORTING_NUMBERS * num_kept
    step_items = max(1, min(half // item_numbers, isqrt(half // pair_numbers), items))
    step_anchors = max(1, half // (pair_numbers * step_items + anchor_numbers))
    return Tiles(even_slices(items, step_items), even_slices(anchors, step_anchors))


def even_slices(count: int, step: int) -> list[slice]:
    """Cut a range into as few slices as the step allows, of nearly one size."""
    even = ceil(count / ceil(count / step)) if count else 1
    return [slice(start, min(start + even, count)) for start in range(0, count, even)]


def basis_of(
    vectors_mkd: Tensor, present_mk: Tensor | None, *, settings: PairSettings, dtype: torch.dtype
) -> Basis:
    """Give the basis of some items for the settings of a pairwise score."""
    return item_basis(vectors_mkd, present_mk, lambdas=settings.lambdas, dtype=dtype)


def dot_products(anchors_nd: Tensor, basis: Basis) -> Tensor:
    """Multiply a tile's anchors with its items' directions, shape (n, K, m).

    It is done in two halves of the width: one long sum would round to twice the error.
    """
    directions_kmd = basis.directions_kmd
    directions_qd, half = directions_kmd.flatten(0, 1), anchors_nd.shape[1] // 2
    along_nq = anchors_nd[:, :half] @ directions_qd[:, :half].mT
    along_nq.addmm_(anchors_nd[:, half:], directions_qd[:, half:].mT)
    return along_nq.view(len(anchors_nd), *directions_kmd.shape[:2])


def write_squared_heights(out_nm: Tensor, anchors_nd: Tensor, squared_nkm: Tensor) -> Tensor:
    """Write the squared distances of anchors from items' spans, which rounding may make negative.

    A squared length is taken as two numbers whose sum is exact. What a squared distance loses first
    is the rounding of what the squares are subtracted from: one number would make the largest error
    of small distances two to three times as large.

    Args:
        out_nm: Where to write, float, shape (n, m).
        anchors_nd: Anchors, of the same type, shape (n, D).
        squared_nkm: Squares of their dot products with the directions, shape (n, K, m).

    Returns:
        The anchors' squared lengths, shape (n, 1).
    """
    norm_n1 = torch.linalg.vector_norm(anchors_nd, dim=1, keepdim=True, dtype=torch.float64)
    exact_n1 = norm_n1.square()
    rounded_n1: Tensor = exact_n1.to(anchors_nd.dtype)
    torch.sum(squared_nkm, dim=1, out=out_nm)
    torch.sub(rounded_n1, out_nm, out=out_nm)
    out_nm.add_((exact_n1 - rounded_n1).to(anchors_nd.dtype))
    return rounded_n1


def finish_distances(squared_nm: Tensor, basis: Basis, *, has_volume: bool) -> None:
    """Turn squared distances into distances in place, times the volume of the item's vectors."""
    squared_nm.clamp_min_(0).sqrt_()
    if has_volume:
        squared_nm.mul_(basis.volume_m)
