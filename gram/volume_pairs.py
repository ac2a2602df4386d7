"""Distances of all texts from all items' spans, and their gradients, tile by tile.

A tile is some anchors with some items. What a tile needs is freed before the next one; forward
keeps nothing for backward but its inputs, and backward computes the tiles again. So the memory
above inputs, output and gradients is what one tile needs, which a setting bounds.

Shape letters of this file: N anchors, M items, K vectors of an item, D embedding width; n and m
are those of one tile.
"""

from dataclasses import dataclass
from math import ceil, isqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram.pairs import compute_dtype, full_precision
from gram.volume_basis import Basis, basis_numbers, item_basis, pull_back

FLOOR = 1e-6
"""Smallest squared distance of an anchor from an item's span that has a gradient, as a share of the
anchor's squared length, in float32.

Products of unit vectors resolve 1e-7 there. In float64 it is ``FLOOR_DOUBLE``.
"""

FLOOR_DOUBLE = 1e-14

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


class Heights(NamedTuple):
    """Distances of a tile's anchors from its items' spans, and what made them.

    Attributes:
        along_nkm: Dot products of the anchors with the items' directions, shape (n, K, m).
        height_nm: Distances, from 0 on, shape (n, m).
        is_high_nm: True where a distance is above its floor, bool, shape (n, m).
    """

    along_nkm: Tensor
    height_nm: Tensor
    is_high_nm: Tensor


def floor_of(dtype: torch.dtype) -> float:
    """Give the smallest squared distance with a gradient, as a share of the squared length."""
    return FLOOR_DOUBLE if dtype == torch.float64 else FLOOR


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


def write_distances(out_nm: Tensor, anchors_nd: Tensor, *, basis: Basis, has_volume: bool) -> None:
    """Write the distances of a tile's anchors from its items' spans into a tensor (n, m)."""
    squared = _squared_lengths(anchors_nd)
    torch.sum(_along(anchors_nd, basis).square_(), dim=1, out=out_nm)
    torch.sub(squared.rounded_n1, out_nm, out=out_nm)
    out_nm.add_(squared.rest_n1).clamp_min_(0).sqrt_()
    if has_volume:
        out_nm.mul_(basis.volume_m)


class _Squared(NamedTuple):
    """Squared lengths as two numbers whose sum is exact, each shape (n, 1).

    What a squared distance loses first is the rounding of what the others are subtracted from: one
    number would make the largest error of small distances two to three times as large.
    """

    rounded_n1: Tensor
    rest_n1: Tensor


def _squared_lengths(anchors_nd: Tensor) -> _Squared:
    norm_n1 = torch.linalg.vector_norm(anchors_nd, dim=1, keepdim=True, dtype=torch.float64)
    exact_n1 = norm_n1.square()
    rounded_n1 = exact_n1.to(anchors_nd.dtype)
    return _Squared(rounded_n1, (exact_n1 - rounded_n1).to(anchors_nd.dtype))


def _along(anchors_nd: Tensor, basis: Basis) -> Tensor:
    """Multiply in two halves of the width: one long sum would round to twice the error."""
    directions_kmd = basis.directions_kmd
    directions_qd, half = directions_kmd.flatten(0, 1), anchors_nd.shape[1] // 2
    along_nq = anchors_nd[:, :half] @ directions_qd[:, :half].mT
    along_nq.addmm_(anchors_nd[:, half:], directions_qd[:, half:].mT)
    return along_nq.view(len(anchors_nd), *directions_kmd.shape[:2])


def _heights(anchors_nd: Tensor, basis: Basis) -> Heights:
    along_nkm = _along(anchors_nd, basis)
    squared = _squared_lengths(anchors_nd)
    height_nm = along_nkm.square().sum(dim=1)
    torch.sub(squared.rounded_n1, height_nm, out=height_nm)
    height_nm.add_(squared.rest_n1)
    is_high_nm = height_nm > floor_of(height_nm.dtype) * squared.rounded_n1
    return Heights(along_nkm, height_nm.clamp_min_(0).sqrt_(), is_high_nm)


def pair_distances(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    present_mk: Tensor | None,
    *,
    settings: PairSettings,
) -> Tensor:
    """Compute the distances of all anchors from all items, with a gradient, shape (N, M)."""
    distance_nm: Tensor = _PairDistances.apply(  # type: ignore[no-untyped-call] # torch's own
        anchors_nd, vectors_mkd, present_mk, settings
    )
    return distance_nm


class _PairDistances(torch.autograd.Function):
    """Distances of all pairs with a gradient that is computed tile by tile."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch gives it no type
        anchors_nd: Tensor,
        vectors_mkd: Tensor,
        present_mk: Tensor | None,
        settings: PairSettings,
    ) -> Tensor:
        """Compute the distances, shape (N, M)."""
        ctx.save_for_backward(anchors_nd, vectors_mkd, present_mk)
        ctx.settings = settings
        dtype = compute_dtype(anchors_nd, vectors_mkd)
        out_nm = anchors_nd.new_empty((len(anchors_nd), len(vectors_mkd)), dtype=dtype)
        tiles = plan_tiles(anchors_nd, vectors_mkd, memory_mib=settings.memory_mib)
        with full_precision(anchors_nd.device):
            for some in tiles.items:
                present = None if present_mk is None else present_mk[some]
                basis = basis_of(vectors_mkd[some], present, settings=settings, dtype=dtype)
                for rows in tiles.anchors:
                    write_distances(
                        out_nm[rows, some],
                        anchors_nd[rows].to(dtype),
                        basis=basis,
                        has_volume=settings.has_volume,
                    )
                del basis  # before the next one is made
        return out_nm

    @staticmethod
    def backward(ctx: Any, gradient_nm: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Compute the gradients of anchors and vectors."""
        anchors_nd, vectors_mkd, present_mk = ctx.saved_tensors
        anchor_nd, vector_mkd = _PairGradients.apply(  # type: ignore[no-untyped-call]
            anchors_nd, vectors_mkd, gradient_nm, present_mk, (ctx.settings, ctx.needs_input_grad)
        )
        return anchor_nd, vector_mkd, None, None


class _PairGradients(torch.autograd.Function):
    """Gradients of the distances; asked for their own gradient, they say that there is none."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        anchors_nd: Tensor,
        vectors_mkd: Tensor,
        gradient_nm: Tensor,
        present_mk: Tensor | None,
        how: tuple[PairSettings, tuple[bool, ...]],
    ) -> tuple[Tensor | None, Tensor | None]:
        settings, (wants_anchors, wants_vectors, *_) = how
        dtype = compute_dtype(anchors_nd, vectors_mkd)
        anchor_nd = torch.zeros_like(anchors_nd, dtype=dtype) if wants_anchors else None
        vector_mkd = torch.empty_like(vectors_mkd) if wants_vectors else None
        tiles = plan_tiles(
            anchors_nd, vectors_mkd, memory_mib=settings.memory_mib, has_gradient=True
        )
        with full_precision(anchors_nd.device):
            for some in tiles.items:
                present = None if present_mk is None else present_mk[some]
                basis = basis_of(vectors_mkd[some], present, settings=settings, dtype=dtype)
                sums = _Sums(anchor_nd, basis, wants_vectors=wants_vectors)
                for rows in tiles.anchors:
                    sums.add(
                        rows, anchors_nd[rows].to(dtype), gradient_nm[rows, some], settings=settings
                    )
                if vector_mkd is not None:
                    vector_mkd[some] = sums.vector_mkd()
                del basis, sums  # before the next ones are made
        return None if anchor_nd is None else anchor_nd.to(anchors_nd.dtype), vector_mkd

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:  # noqa: ANN401
        raise RuntimeError(ONCE.format(what="pairwise volume or residual"))


class _Sums:
    """Gradients of some items and of all anchors, summed over tiles of anchors."""

    def __init__(self, anchor_nd: Tensor | None, basis: Basis, *, wants_vectors: bool) -> None:
        self.anchor_nd = anchor_nd
        self.basis = basis
        self.toward_kmd: Tensor | None = None
        if wants_vectors:
            self.toward_kmd = basis.directions_kmd.new_zeros(basis.directions_kmd.shape)
        self.pull_m = torch.zeros_like(basis.volume_m)

    def add(
        self, rows: slice, anchors_nd: Tensor, gradient_nm: Tensor, *, settings: PairSettings
    ) -> None:
        """Add what some anchors give; with slope = gradient / height, see ``pull_back``."""
        along_nkm, height_nm, is_high_nm = _heights(anchors_nd, self.basis)
        if settings.has_volume:
            gradient_nm = gradient_nm * self.basis.volume_m
            self.pull_m += (gradient_nm * height_nm).sum(dim=0)
        slope_nm = torch.where(is_high_nm, gradient_nm / height_nm, 0.0)
        along = along_nkm.mul_(slope_nm.unsqueeze(1)).flatten(1)
        if self.toward_kmd is not None:
            self.toward_kmd.flatten(0, 1).addmm_(along.mT, anchors_nd)
        if self.anchor_nd is not None:
            directions = self.basis.directions_kmd.flatten(0, 1)
            self.anchor_nd[rows].addmm_(along, directions, alpha=-1)
            self.anchor_nd[rows].addcmul_(anchors_nd, slope_nm.sum(dim=1, keepdim=True))

    def vector_mkd(self) -> Tensor:
        """Give the gradients of the items' vectors, shape (m, K, D)."""
        return pull_back(self.basis, self.toward_kmd, pull_m=self.pull_m)
