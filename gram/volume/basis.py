"""An orthonormal basis of each item's own vectors, and how gradients go back through it.

Each vector of an item gets a private coordinate beside its D own ones. It is 0 for most: it holds
the root of what is added to the vector's diagonal of the Gram matrix. That is the modality's
lambda, or what lifts a height to its floor, or 1 where there is no vector. So the basis of the
longer vectors is orthonormal in all these cases, and one code serves them.

Precision: all is computed in float64 and rounded once, at the end. It costs a few percent of the
products with the anchors, and directions that are orthogonal to the last bit are what a distance
from their span stands on.

Shape letters of this file: M items, K vectors of an item, D embedding width, E width with the
private coordinates, D + K.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PASSES = {torch.float32: 1, torch.float64: 2}
"""How often a vector is projected. Once leaves an error of 1e-16 over the vector's height, which
float32 does not see; twice leaves none."""

FLOOR_BASIS = 1e-14
"""Smallest squared height of a vector over those before it, as a share of its squared length. It is
that of float64, in which the basis is made, whatever the type of the vectors: so the order of the
vectors shows in nothing but rounding."""

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
    """

    directions_kme: Tensor
    triangle_kkm: Tensor
    lengths_km: Tensor
    is_there_km: Tensor
    is_high_km: Tensor
    volume_m: Tensor

    @property
    def directions_kmd(self) -> Tensor:
        """The directions without their private coordinates, shape (K, M, D)."""
        return self.directions_kme[..., : self.directions_kme.shape[-1] - len(self.triangle_kkm)]


def item_basis(
    vectors_mkd: Tensor,
    present_mk: Tensor | None,
    *,
    lambdas: Sequence[float] | None = None,
    dtype: torch.dtype,
) -> Basis:
    """Orthogonalize each item's vectors one after the other (Gram and Schmidt).

    Args:
        vectors_mkd: Vectors, float, shape (M, K, D).
        present_mk: Which vectors are there, bool, shape (M, K); None: all.
        lambdas: Added to the diagonal of the Gram matrix, one a vector, from 0 on; None: zeros.
        dtype: Of what is given: float32 or float64.
    """
    unit_mke, lengths_mk, is_there_mk = _unit_vectors(vectors_mkd, present_mk, dtype=dtype)
    count, width = vectors_mkd.shape[1:]
    for k in range(count):
        private_m = torch.zeros_like(lengths_mk[:, k])
        if lambdas is not None:
            private_m = (lambdas[k] ** 0.5 / lengths_mk[:, k]).clamp_max(MUTE)
        unit_mke[:, k, width + k] = torch.where(is_there_mk[:, k], private_m, 1.0)
    triangle_mkk, height_mk = _orthogonalize(unit_mke, passes=PASSES[dtype])
    return Basis(
        directions_kme=unit_mke.transpose(0, 1).to(dtype, memory_format=torch.contiguous_format),
        triangle_kkm=triangle_mkk.permute(1, 2, 0).to(dtype),
        lengths_km=lengths_mk.mT.to(dtype),
        is_there_km=is_there_mk.mT,
        is_high_km=(~(height_mk.square() < FLOOR_BASIS) & is_there_mk).mT,
        volume_m=(lengths_mk * height_mk).prod(dim=1).to(dtype),
    )


def basis_numbers(count: int, width: int, *, dtype: torch.dtype) -> int:
    """Give how many numbers of the type the basis of one item needs while it is made."""
    wide = width + count
    in_double = torch.float64.itemsize // dtype.itemsize
    return count * wide + in_double * (count * wide + wide + count * count + 10 * count)


def numbers_kept(count: int, width: int) -> int:
    """Give how many numbers the basis of one item has, its marks counted as numbers."""
    return count * (width + count) + count * count + 3 * count + 1


def pull_back(basis: Basis, toward_kmd: Tensor | None, *, pull_m: Tensor) -> Tensor:
    """Turn gradients of what the basis gave into gradients of the vectors.

    Of the volume: half the gradient of log det G is G^-1 V, which is L^-T W. Of the squared
    distance |t|^2 - |W t|^2: with c = G^-1 V t it is -2 c (t - V' c)', so that the sum over texts
    is -2 L^-T (A - A W' W), A the sum of W t t'. What lifts a height to its floor is held constant,
    which makes the second one continuous there; the first one is 0 below the floor.

    Args:
        basis: What ``item_basis`` gave.
        toward_kmd: Sum over texts of slope times W t t', shape (K, M, D); None: only the volume
            has a gradient.
        pull_m: Gradient of the logarithm of each item's volume, shape (M,).

    Returns:
        Gradients of the vectors, shape (M, K, D); 0 where there is no vector, or it is zero.
    """
    directions_mkd = basis.directions_kmd.transpose(0, 1)
    solving_mkk = _solving(basis)
    volume_mk = torch.where(basis.is_high_km, pull_m, 0.0).mT
    if toward_kmd is None:
        return torch.bmm(solving_mkk * volume_mk.unsqueeze(1), directions_mkd)
    toward_mkd = toward_kmd.transpose(0, 1)
    along_mkk = torch.bmm(toward_mkd, directions_mkd.mT)
    along_mkk.diagonal(dim1=1, dim2=2).add_(volume_mk)
    return torch.bmm(solving_mkk, torch.baddbmm(toward_mkd, along_mkk, directions_mkd, beta=-1))


def _solving(basis: Basis) -> Tensor:
    """Give L^-T with rows over the vectors' lengths, 0 where there is none, shape (M, K, K)."""
    triangle_mkk = basis.triangle_kkm.permute(2, 0, 1)
    ones_kk = torch.eye(
        len(basis.triangle_kkm), dtype=triangle_mkk.dtype, device=triangle_mkk.device
    )
    inverse_mkk = torch.linalg.solve_triangular(
        triangle_mkk, ones_kk.expand_as(triangle_mkk), upper=False
    )
    shares_km = torch.where(basis.is_there_km, basis.lengths_km, torch.inf).reciprocal()
    solving_mkk: Tensor = inverse_mkk.mT * shares_km.mT.unsqueeze(-1)
    return solving_mkk


def _unit_vectors(
    vectors_mkd: Tensor, present_mk: Tensor | None, *, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Copy the vectors to float64 at unit length, with room for private coordinates.

    A missing vector and one whose square is no normal number of the type become zeros.

    Returns:
        Unit vectors (M, K, E), lengths (M, K), 1 where missing, and which are there (M, K).
    """
    items, count, width = vectors_mkd.shape
    unit_mke = vectors_mkd.new_empty((items, count, width + count), dtype=torch.float64)
    unit_mke[..., width:] = 0
    unit_mkd = unit_mke[..., :width]
    unit_mkd.copy_(vectors_mkd)
    if present_mk is not None:
        unit_mkd.masked_fill_(~present_mk.unsqueeze(-1), 0)
    lengths_mk = torch.linalg.vector_norm(unit_mkd, dim=-1)
    # Not the opposite comparison: what is not a number shall stay in sight.
    is_zero_mk = lengths_mk <= torch.finfo(dtype).tiny ** 0.5
    unit_mkd.div_(torch.where(is_zero_mk, 1.0, lengths_mk).unsqueeze(-1))
    unit_mkd.masked_fill_(is_zero_mk.unsqueeze(-1), 0)
    lengths_mk = lengths_mk.masked_fill(is_zero_mk, 0)
    if present_mk is not None:
        lengths_mk = lengths_mk.masked_fill(~present_mk, 1)
    return unit_mke, lengths_mk, ~is_zero_mk


def _orthogonalize(rows_mke: Tensor, *, passes: int) -> tuple[Tensor, Tensor]:
    """Make the rows of each item orthonormal in place.

    Returns:
        The lower triangle (M, K, K), and the heights before they were lifted (M, K).
    """
    items, count, wide = rows_mke.shape
    triangle_mkk = rows_mke.new_zeros((items, count, count))
    height_mk = rows_mke.new_zeros((items, count))
    for k in range(count):
        before_mke, row_m1e = rows_mke[:, :k], rows_mke[:, k : k + 1]
        for _ in range(passes if k else 0):
            along_m1k = torch.bmm(row_m1e, before_mke.mT)
            row_m1e -= torch.bmm(along_m1k, before_mke)
            triangle_mkk[:, k : k + 1, :k] += along_m1k
        height_mk[:, k] = torch.linalg.vector_norm(row_m1e, dim=-1).squeeze(1)
        squared_m = height_mk[:, k].square()
        private_m = row_m1e[:, 0, wide - count + k]
        private_m.copy_((private_m.square() + (FLOOR_BASIS - squared_m).clamp_min(0)).sqrt())
        lifted_m = squared_m.clamp_min(FLOOR_BASIS).sqrt()
        triangle_mkk[:, k, k] = lifted_m
        row_m1e.div_(lifted_m[:, None, None])
    return triangle_mkk, height_mk
