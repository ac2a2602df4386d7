"""Distances of all texts from all items' spans with their gradients, tile by tile.

Backward needs the items' bases and the dot products again. Forward keeps them for it as long as
half of the memory setting holds them all, and works in tiles of what is left; else backward
computes them again.

Shape letters of this file: N anchors, M items, K vectors of an item, D embedding width; n and m
are those of one tile.
"""

from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram.volume.basis import Basis, numbers_kept, pull_back
from gram.volume.checks import compute_dtype, full_precision
from gram.volume.tiles import (
    ONCE,
    PairSettings,
    Tiles,
    basis_of,
    dot_products,
    finish_distances,
    plan_tiles,
    write_squared_heights,
)

FLOOR = 1e-6
"""Smallest squared distance of an anchor from an item's span that has a gradient, as a share of the
anchor's squared length, in float32.

Products of unit vectors resolve 1e-7 there. In float64 it is ``FLOOR_DOUBLE``.
"""

FLOOR_DOUBLE = 1e-14


def floor_of(dtype: torch.dtype) -> float:
    """Give the smallest squared distance with a gradient, as a share of the squared length."""
    return FLOOR_DOUBLE if dtype == torch.float64 else FLOOR


def pair_distances(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    present_mk: Tensor | None,
    *,
    settings: PairSettings,
) -> Tensor:
    """Compute the distances of all anchors from all items, with a gradient, shape (N, M)."""
    needs_gradient = anchors_nd.requires_grad or vectors_mkd.requires_grad
    plan = _plan(
        anchors_nd,
        vectors_mkd,
        settings=settings,
        has_gradient=needs_gradient and torch.is_grad_enabled(),
    )
    distance_nm: Tensor = _PairDistances.apply(  # type: ignore[no-untyped-call] # torch's own
        anchors_nd, vectors_mkd, present_mk, plan
    )
    return distance_nm


class _Plan(NamedTuple):
    """How pairs are measured, and how the work is cut.

    Attributes:
        settings: How pairs are measured.
        tiles: Of forward and of backward.
        keeps: Whether bases and dot products are kept from forward to backward.
    """

    settings: PairSettings
    tiles: Tiles
    keeps: bool


def _plan(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, settings: PairSettings, has_gradient: bool
) -> _Plan:
    (items, count, width), dtype = vectors_mkd.shape, compute_dtype(anchors_nd, vectors_mkd)
    numbers = items * (count * len(anchors_nd) + numbers_kept(count, width))
    kept_mib = numbers * dtype.itemsize / 2**20
    keeps = has_gradient and kept_mib <= settings.memory_mib / 2
    tiles = plan_tiles(
        anchors_nd,
        vectors_mkd,
        memory_mib=settings.memory_mib - (kept_mib if keeps else 0),
        has_gradient=has_gradient,
    )
    return _Plan(settings, tiles, keeps)


class _PairDistances(torch.autograd.Function):
    """Distances of all pairs with a gradient that is computed tile by tile."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch gives it no type
        anchors_nd: Tensor,
        vectors_mkd: Tensor,
        present_mk: Tensor | None,
        plan: _Plan,
    ) -> Tensor:
        """Compute the distances, shape (N, M)."""
        settings, tiles, keeps = plan
        dtype = compute_dtype(anchors_nd, vectors_mkd)
        out_nm = anchors_nd.new_empty((len(anchors_nd), len(vectors_mkd)), dtype=dtype)
        kept: list[Tensor] = []
        with full_precision(anchors_nd.device):
            for some in tiles.items:
                present = None if present_mk is None else present_mk[some]
                basis = basis_of(vectors_mkd[some], present, settings=settings, dtype=dtype)
                kept += basis if keeps else ()
                for rows in tiles.anchors:
                    anchors = anchors_nd[rows].to(dtype)
                    along_nkm = dot_products(anchors, basis)
                    kept += [along_nkm] if keeps else []
                    squared_nkm = along_nkm.square() if keeps else along_nkm.square_()
                    write_squared_heights(out_nm[rows, some], anchors, squared_nkm)
                    del along_nkm, squared_nkm  # before the next ones are made
                finish_distances(out_nm[:, some], basis, has_volume=settings.has_volume)
                del basis
        ctx.save_for_backward(anchors_nd, vectors_mkd, present_mk, *kept)
        ctx.plan = plan
        return out_nm

    @staticmethod
    def backward(ctx: Any, gradient_nm: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Compute the gradients of anchors and vectors."""
        anchors_nd, vectors_mkd, present_mk, *kept = ctx.saved_tensors
        anchor_nd, vector_mkd = _PairGradients.apply(  # type: ignore[no-untyped-call]
            anchors_nd,
            vectors_mkd,
            gradient_nm,
            present_mk,
            kept,
            ctx.plan,
            ctx.needs_input_grad[:2],
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
        kept: list[Tensor],
        plan: _Plan,
        wanted: tuple[bool, bool],
    ) -> tuple[Tensor | None, Tensor | None]:
        settings, tiles, keeps = plan
        wants_anchors, wants_vectors = wanted
        dtype = compute_dtype(anchors_nd, vectors_mkd)
        anchor_nd = torch.zeros_like(anchors_nd, dtype=dtype) if wants_anchors else None
        vector_mkd = torch.empty_like(vectors_mkd) if wants_vectors else None
        again = iter(kept)
        with full_precision(anchors_nd.device):
            for some in tiles.items:
                if keeps:
                    basis = Basis(*islice(again, len(Basis._fields)))
                else:
                    present = None if present_mk is None else present_mk[some]
                    basis = basis_of(vectors_mkd[some], present, settings=settings, dtype=dtype)
                sums = _Sums(anchor_nd, basis, wants_vectors=wants_vectors)
                for rows in tiles.anchors:
                    anchors = anchors_nd[rows].to(dtype)
                    along_nkm = next(again) if keeps else dot_products(anchors, basis)
                    gradient = gradient_nm[rows, some]
                    sums.add(rows, anchors, along_nkm, gradient, has_volume=settings.has_volume)
                    del along_nkm  # before the next ones are made
                if vector_mkd is not None:
                    vector_mkd[some] = sums.vector_mkd()
                del basis, sums
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
        self,
        rows: slice,
        anchors_nd: Tensor,
        along_nkm: Tensor,
        gradient_nm: Tensor,
        *,
        has_volume: bool,
    ) -> None:
        """Add what some anchors give; with slope = gradient / height, see ``pull_back``."""
        height_nm = torch.empty_like(along_nkm[:, 0])
        squared_n1 = write_squared_heights(height_nm, anchors_nd, along_nkm.square())
        is_high_nm = height_nm > floor_of(height_nm.dtype) * squared_n1
        height_nm.clamp_min_(0).sqrt_()
        if has_volume:
            gradient_nm = gradient_nm * self.basis.volume_m
            self.pull_m += (gradient_nm * height_nm).sum(dim=0)
        slope_nm = torch.where(is_high_nm, gradient_nm / height_nm, 0.0)
        along = (along_nkm * slope_nm.unsqueeze(1)).flatten(1)
        if self.toward_kmd is not None:
            self.toward_kmd.flatten(0, 1).addmm_(along.mT, anchors_nd)
        if self.anchor_nd is not None:
            directions = self.basis.directions_kmd.flatten(0, 1)
            self.anchor_nd[rows].addmm_(along, directions, alpha=-1)
            self.anchor_nd[rows].addcmul_(anchors_nd, slope_nm.sum(dim=1, keepdim=True))

    def vector_mkd(self) -> Tensor:
        """Give the gradients of the items' vectors, shape (m, K, D)."""
        return pull_back(self.basis, self.toward_kmd, pull_m=self.pull_m)
