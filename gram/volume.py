"""Volume of the parallelotope that embeddings span: of tuples, and of all texts with all items.

Source: the paper, section 3.1 (volume as the root of the Gram determinant). The pairwise form goes
through an orthonormal basis of each item's own vectors, so that N texts against M items cost one
matrix product and never build N x M small matrices.

Shape letters of this file: B tuples, N anchors, M items, K vectors of an item, D embedding width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = 1e-6
"""Smallest squared height that counts, unitless; float32 products of unit vectors resolve 1e-7."""


def gram_volume(vectors_bmd: Tensor, *, floor: float = FLOOR) -> Tensor:
    """Compute the volume that each tuple of vectors spans.

    The volume is the root of the determinant of the Gram matrix. It is the product of heights: of
    each vector's distance from the span of those before it. For unit vectors it lies in [0, 1]:
    near 0 when they point the same way, 1 when they are orthogonal. Small is near. It does not
    see signs: a vector and its opposite span the same volume.

    Autocast is off inside: in bfloat16 well aligned vectors cannot be told from equal ones.

    Args:
        vectors_bmd: Vectors of unit length, float, shape (B, M, D) with 1 <= M <= D.
        floor: Smallest squared height kept, unitless. Below it the gradient is 0, not infinite.

    Returns:
        Volumes, float32 (float64 if the vectors are), shape (B,), unitless.

    Raises:
        ValueError: If ``vectors_bmd`` has not three axes, or more vectors than dimensions.

    Example:
        >>> gram_volume(torch.eye(3).unsqueeze(0))
        tensor([1.])
    """
    with torch.autocast(vectors_bmd.device.type, enabled=False):
        return _item_basis(vectors_bmd, present_mk=None, floor=floor).volume_m


def pairwise_volume(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None = None
) -> Tensor:
    """Compute the volume that each anchor spans together with each item's vectors.

    With W an orthonormal basis of the item's own vectors,
    ``volume(t, item) = volume(item) * sqrt(|t|^2 - |W t|^2)``. Small is near.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        present_mk: True where an item has the vector, bool, shape (M, K); None: all are there.
            A missing vector counts as orthogonal to all others, so it changes no volume.

    Returns:
        Volumes, float32 (float64 if the inputs are), shape (N, M), unitless, in [0, 1] for unit
        vectors.

    Raises:
        ValueError: If a shape is wrong, or an item has as many vectors as dimensions.
    """
    with torch.autocast(anchors_nd.device.type, enabled=False):
        basis = _item_basis(vectors_mkd, present_mk=present_mk, floor=FLOOR)
        return _heights(anchors_nd, basis.directions_mkd) * basis.volume_m


def pairwise_residual(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None = None
) -> Tensor:
    """Compute each anchor's distance from the span of each item's vectors.

    It is the volume without the item's own factor, so that an item whose vectors agree with each
    other is not near to every text. Small is near. Arguments, shapes and errors are those of
    ``pairwise_volume``.

    Returns:
        Distances, float32 (float64 if the inputs are), shape (N, M), unitless, in [0, 1] for unit
        anchors.
    """
    with torch.autocast(anchors_nd.device.type, enabled=False):
        basis = _item_basis(vectors_mkd, present_mk=present_mk, floor=FLOOR)
        return _heights(anchors_nd, basis.directions_mkd)


class _Basis(NamedTuple):
    """Orthonormal directions of each item's vectors, (M, K, D), and the volume they span, (M,)."""

    directions_mkd: Tensor
    volume_m: Tensor


def _item_basis(vectors_mkd: Tensor, *, present_mk: Tensor | None, floor: float) -> _Basis:
    """Orthogonalize each item's vectors one after the other (Gram and Schmidt).

    Each vector is projected twice: once leaves an error that grows with the cosine between the
    vectors, twice does not. A direction whose squared height is below the floor is shortened
    rather than blown up, so that its gradient stays finite.
    """
    _check_vectors(vectors_mkd, present_mk)
    vectors_mkd = _at_least_float32(vectors_mkd)
    directions: list[Tensor] = []
    volume_m = vectors_mkd.new_ones(vectors_mkd.shape[0])
    for k in range(vectors_mkd.shape[1]):
        height_md = vectors_mkd[:, k]
        if directions:
            earlier_mkd = torch.stack(directions, dim=1)
            for _ in range(2):
                height_md = height_md - _projection(height_md, earlier_mkd)
        squared_m = height_md.square().sum(dim=-1).clamp_min(floor)
        direction_md = height_md * squared_m.rsqrt().unsqueeze(-1)
        if present_mk is not None:
            squared_m = torch.where(present_mk[:, k], squared_m, 1.0)
            direction_md = torch.where(present_mk[:, k, None], direction_md, 0.0)
        volume_m = volume_m * squared_m.sqrt()
        directions.append(direction_md)
    return _Basis(torch.stack(directions, dim=1), volume_m)


def _projection(vectors_md: Tensor, directions_mkd: Tensor) -> Tensor:
    coefficients_mk = torch.einsum("md,mkd->mk", vectors_md, directions_mkd)
    return torch.einsum("mk,mkd->md", coefficients_mk, directions_mkd)


def _heights(anchors_nd: Tensor, directions_mkd: Tensor) -> Tensor:
    """Distance of each anchor from each item's span, shape (N, M)."""
    items, count, width = directions_mkd.shape
    if anchors_nd.ndim != 2 or anchors_nd.shape[1] != width:
        raise ValueError(f"anchors need shape (N, {width}), got {tuple(anchors_nd.shape)}")
    if count >= width:
        raise ValueError(
            f"an anchor with {count} vectors of width {width} always spans volume 0; "
            "use fewer modalities or a wider embedding"
        )
    anchors_nd = _at_least_float32(anchors_nd)
    along_nmk = (anchors_nd @ directions_mkd.flatten(0, 1).mT).view(-1, items, count)
    squared_n = anchors_nd.square().sum(dim=-1)
    squared_nm = squared_n.unsqueeze(1) - along_nmk.square().sum(dim=-1)
    return squared_nm.clamp_min(FLOOR).sqrt()


def _at_least_float32(vectors: Tensor) -> Tensor:
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def _check_vectors(vectors_mkd: Tensor, present_mk: Tensor | None) -> None:
    if vectors_mkd.ndim != 3:
        raise ValueError(f"vectors need shape (B, M, D), got {tuple(vectors_mkd.shape)}")
    _, count, width = vectors_mkd.shape
    if not 1 <= count <= width:
        raise ValueError(
            f"{count} vectors of width {width} always span volume 0; "
            "use fewer modalities or a wider embedding"
        )
    if present_mk is not None and present_mk.shape != vectors_mkd.shape[:2]:
        raise ValueError(
            f"present needs shape {tuple(vectors_mkd.shape[:2])}, got {tuple(present_mk.shape)}"
        )
