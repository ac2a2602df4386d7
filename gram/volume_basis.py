"""An orthonormal basis of each item's own vectors, and how gradients go back through it.

Each vector of an item gets a private coordinate beside its D own ones. It is 0 for most: it holds
the root of what is added to the vector's diagonal of the Gram matrix. That is the modality's
lambda, or what lifts a height to its floor, or 1 where there is no vector. So the basis of the
longer vectors is orthonormal in all these cases, and one code serves them.

Precision: products of unit vectors in float32 are right to about 1e-7. The heights here come from
differences of vectors, not of products, and are right to about 1e-7 themselves.

Shape letters of this file: M items, K vectors of an item, D embedding width, E width with the
private coordinates, D + K.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MUTE = 1e8
"""Largest private coordinate beside a vector of length 1: its share of any score is below 1e-15."""


class Basis(NamedTuple):
    """Orthonormal directions of each item's vectors, and what made them.

    Attributes:
        directions_kme: Directions, the private coordinates last, shape (K, M, E).
        triangle_kkm: Lower triangle L with unit vectors = L directions, shape (K, K, M).
        lengths_km: Lengths of the vectors; 1 where one is missing, shape (K, M).
        is_there_km: True where there is a vector and it is not zero, bool, shape (K, M).
        is_high_km: True where a height is not below its floor, bool, shape (K, M).
        volume_m: Volume that the vectors of each item span, shape (M,): the product of heights as
            they are, which may be 0.
        floored_volume_m: The same with heights lifted to their floor, shape (M,).
    """

    directions_kme: Tensor
    triangle_kkm: Tensor
    lengths_km: Tensor
    is_there_km: Tensor
    is_high_km: Tensor
    volume_m: Tensor
    floored_volume_m: Tensor

    @property
    def directions_kmd(self) -> Tensor:
        """The directions without their private coordinates, shape (K, M, D)."""
        return self.directions_kme[..., : self.directions_kme.shape[-1] - len(self.triangle_kkm)]


def item_basis(
    vectors_mkd: Tensor,
    present_mk: Tensor | None,
    *,
    floor: float,
    lambdas: Sequence[float] | None = None,
    dtype: torch.dtype,
) -> Basis:
    """Orthogonalize each item's vectors one after the other (Gram and Schmidt).

    Each vector is projected twice: once leaves an error that grows with the cosine between the
    vectors, twice does not.

    Args:
        vectors_mkd: Vectors, float, shape (M, K, D).
        present_mk: Which vectors are there, bool, shape (M, K); None: all.
        floor: Smallest squared height, as a share of the vector's squared length.
        lambdas: Added to the diagonal of the Gram matrix, one a vector, from 0 on; None: zeros.
        dtype: In which to compute.
    """
    unit_kme, lengths_km, is_there_km = _unit_vectors(vectors_mkd, present_mk, dtype=dtype)
    count, width = vectors_mkd.shape[1:]
    for k in range(count):
        private_m = torch.zeros_like(lengths_km[k])
        if lambdas is not None:
            private_m = (lambdas[k] ** 0.5 / lengths_km[k]).clamp_max(MUTE)
        unit_kme[k, :, width + k] = torch.where(is_there_km[k], private_m, 1.0)
    triangle_kkm, height_km = _orthogonalize(unit_kme, floor=floor)
    return Basis(
        directions_kme=unit_kme,
        triangle_kkm=triangle_kkm,
        lengths_km=lengths_km,
        is_there_km=is_there_km,
        is_high_km=~(height_km.square() < floor) & is_there_km,
        volume_m=(lengths_km * height_km).prod(dim=0),
        floored_volume_m=(lengths_km * triangle_kkm.diagonal().mT).prod(dim=0),
    )


def pull_back(basis: Basis, toward_kmd: Tensor | None, *, pull_m: Tensor) -> Tensor:
    """Turn gradients of what the basis gave into gradients of the vectors.

    Of the volume: half the gradient of log det G is G^-1 V, which is L^-T W. Of the squared
    distance |t|^2 - |W t|^2: with c = G^-1 V t it is -2 c (t - V' c)', so that the sum over texts
    is -2 L^-T (A - A W' W), A the sum of W t t'. What lifts a height to its floor is held constant,
    which makes the second one continuous there; the first one is 0 below the floor.

    Args:
        basis: What ``item_basis`` gave.
        toward_kmd: Sum over texts of slope times W t t', shape (K, M, D), which is overwritten;
            None: only the volume has a gradient.
        pull_m: Gradient of the logarithm of each item's volume, shape (M,).

    Returns:
        Gradients of the vectors, shape (K, M, D); 0 where there is no vector, or it is zero.
    """
    directions_kmd, triangle_kkm = basis.directions_kmd, basis.triangle_kkm
    count = len(directions_kmd)
    gradient_kmd = torch.zeros_like(directions_kmd) if toward_kmd is None else toward_kmd
    if toward_kmd is not None:
        toward_mkd, directions_mkd = toward_kmd.transpose(0, 1), directions_kmd.transpose(0, 1)
        along_mkk = torch.bmm(toward_mkd, directions_mkd.mT)
        toward_mkd.baddbmm_(along_mkk, directions_mkd, alpha=-1).neg_()
    for k in range(count):
        volume_m = torch.where(basis.is_high_km[k], pull_m, 0.0)
        gradient_kmd[k].addcmul_(volume_m.unsqueeze(-1), directions_kmd[k])
    for k in reversed(range(count)):
        gradient_kmd[k].div_(triangle_kkm[k, k].unsqueeze(-1))
        for j in range(k):
            gradient_kmd[j].addcmul_(triangle_kkm[k, j].unsqueeze(-1), gradient_kmd[k], value=-1)
    lengths_km1, is_there_km1 = basis.lengths_km.unsqueeze(-1), basis.is_there_km.unsqueeze(-1)
    gradient_kmd.div_(torch.where(is_there_km1, lengths_km1, 1.0))
    return gradient_kmd.masked_fill_(~is_there_km1, 0)


def _unit_vectors(
    vectors_mkd: Tensor, present_mk: Tensor | None, *, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Copy the vectors at unit length with room for private coordinates.

    A missing vector and one whose square is no normal number become zeros.

    Returns:
        Unit vectors (K, M, E), lengths (K, M), 1 where missing, and which are there (K, M).
    """
    items, count, width = vectors_mkd.shape
    unit_kme = vectors_mkd.new_zeros((count, items, width + count), dtype=dtype)
    unit_kmd = unit_kme[..., :width]
    unit_kmd.copy_(vectors_mkd.transpose(0, 1))
    if present_mk is not None:
        unit_kmd.masked_fill_(~present_mk.mT.unsqueeze(-1), 0)
    lengths_km = torch.linalg.vector_norm(unit_kmd, dim=-1)
    # Not the opposite comparison: what is not a number shall stay in sight.
    is_zero_km = lengths_km <= torch.finfo(dtype).tiny ** 0.5
    unit_kmd.div_(torch.where(is_zero_km, 1.0, lengths_km).unsqueeze(-1))
    unit_kmd.masked_fill_(is_zero_km.unsqueeze(-1), 0)
    lengths_km = lengths_km.masked_fill(is_zero_km, 0)
    if present_mk is not None:
        lengths_km = lengths_km.masked_fill(~present_mk.mT, 1)
    return unit_kme, lengths_km, ~is_zero_km


def _orthogonalize(rows_kme: Tensor, *, floor: float) -> tuple[Tensor, Tensor]:
    """Make the rows orthonormal in place.

    Returns:
        The lower triangle (K, K, M), and the heights before they were lifted (K, M).
    """
    count, items, wide = rows_kme.shape
    triangle_kkm = rows_kme.new_zeros((count, count, items))
    height_km = rows_kme.new_zeros((count, items))
    for k in range(count):
        height_me = rows_kme[k]
        for _ in range(2):
            for j in range(k):
                along_m = (rows_kme[j] * height_me).sum(dim=-1)
                height_me.addcmul_(rows_kme[j], along_m.unsqueeze(-1), value=-1)
                triangle_kkm[k, j] += along_m
        squared_m = height_me.square().sum(dim=-1)
        height_km[k] = squared_m.sqrt()
        private_m = height_me[:, wide - count + k]
        private_m.copy_((private_m.square() + (floor - squared_m).clamp_min(0)).sqrt())
        squared_m = squared_m.clamp_min(floor)
        triangle_kkm[k, k] = squared_m.sqrt()
        height_me.mul_(squared_m.rsqrt().unsqueeze(-1))
    return triangle_kkm, height_km
