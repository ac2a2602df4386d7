"""Other ways to compare a text with an item than the volume: area, eigenvalue, product, cosine.

The pairwise functions have the form of ``gram.volume.pairwise_volume``, and each says which end is
near. None holds a matrix of small matrices for all pairs.

Shape letters of this file: B tuples, N anchors, M items, K vectors of an item or of a tuple,
D embedding width.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.volume.checks import check_pairs, check_vectors, compute_dtype, full_precision

FLOOR = 1e-6
"""Smallest squared length that counts, unitless; float32 products of unit vectors resolve 1e-7."""

CHUNK_PAIRS = 2**18
"""Pairs of an anchor and an item whose eigenvalues are computed at a time."""

POWER_STEPS = 8
"""Steps through which the gradient of a leading direction is followed."""


class Spectrum(NamedTuple):
    """Singular values of tuples and their leading directions.

    Attributes:
        values_bk: Singular values, the largest first, shape (B, K); at least ``FLOOR ** 0.5``.
        directions_bd: Unit vectors in whose direction a tuple is longest, shape (B, D).
    """

    values_bk: Tensor
    directions_bd: Tensor


def pairwise_area(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None = None
) -> Tensor:
    """Compute the area of the triangle between each anchor and the two vectors of each item.

    Source: TRIANGLE (Cicchetti and others, NeurIPS 2025, arXiv 2509.24734). With u and v the edges
    from the anchor to the two vectors, ``area = sqrt(|u|^2 |v|^2 - (u.v)^2) / 2``. Small is near.
    Ours is how it is computed: half the item's own edge times the anchor's distance from the line
    through it, which is one matrix product. Both lengths are kept above ``FLOOR ** 0.5``.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: Two vectors an item, of unit length, float, shape (M, 2, D), in any order.
        present_mk: True where an item has the vector, bool, shape (M, 2); None: all are there.

    Returns:
        Areas, float32 (float64 if an input is), shape (N, M), unitless, for unit vectors from 0
        to 1.3 (an equilateral triangle in the unit circle).

    Raises:
        ValueError: If a shape is wrong, or an item lacks a vector: two points have no area.
    """
    check_pairs(anchors_nd, vectors_mkd, present_mk)
    if vectors_mkd.shape[1] != 2:
        raise ValueError(
            f"a triangle has a text and two vectors, found {vectors_mkd.shape[1]} vectors; "
            "use two modalities or another loss"
        )
    if present_mk is not None and not present_mk.all():
        lacking = int((~present_mk.all(dim=1)).sum())
        raise ValueError(
            f"a triangle needs both vectors of an item, found {lacking} items that lack one; "
            "leave them out (missing: drop)"
        )
    dtype = compute_dtype(anchors_nd, vectors_mkd)
    with full_precision(anchors_nd.device):
        anchors_nd, vectors_mkd = anchors_nd.to(dtype), vectors_mkd.to(dtype)
        corner_md, other_md = vectors_mkd.unbind(dim=1)
        edge_md = other_md - corner_md
        edge_m = edge_md.square().sum(dim=-1).clamp_min(FLOOR)
        edge_md = edge_md * edge_m.rsqrt().unsqueeze(-1)
        along_nm = anchors_nd @ edge_md.mT - (corner_md * edge_md).sum(dim=-1)
        squared_nm = (
            anchors_nd.square().sum(dim=-1, keepdim=True)
            + corner_md.square().sum(dim=-1)
            - 2 * anchors_nd @ corner_md.mT
        )
        height_nm = (squared_nm - along_nm.square()).clamp_min(FLOOR).sqrt()
        return height_nm * edge_m.sqrt() / 2


def pairwise_leading_eigenvalue(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None = None
) -> Tensor:
    """Compute the largest eigenvalue of the Gram matrix of each anchor with each item's vectors.

    Source: PMRL (Liu and others, 2025, arXiv 2507.17343), where a fully aligned tuple has a Gram
    matrix of rank one: its largest eigenvalue is the number of vectors, all others are 0. Large is
    near. It is the square of the largest singular value of the stacked vectors. A missing vector
    adds an eigenvalue of 0, so it changes nothing.

    Ours is the gradient: the eigenvector is found first and held, and the eigenvalue is the
    quadratic form that it gives. That is the true gradient, and it is finite where eigenvalues
    are equal.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        present_mk: True where an item has the vector, bool, shape (M, K); None: all are there.

    Returns:
        Eigenvalues, float32 (float64 if an input is), shape (N, M), unitless, from 1 to K + 1
        for unit vectors.

    Raises:
        ValueError: If a shape is wrong.
    """
    check_pairs(anchors_nd, vectors_mkd, present_mk)
    chunk = max(1, CHUNK_PAIRS // max(1, len(anchors_nd)))
    dtype = compute_dtype(anchors_nd, vectors_mkd)
    with full_precision(anchors_nd.device):
        anchors_nd = anchors_nd.to(dtype)
        vectors_mkd = _present(vectors_mkd.to(dtype), present_mk)
        parts = [
            _leading_eigenvalue(anchors_nd, vectors_mkd[start : start + chunk])
            for start in range(0, len(vectors_mkd), chunk)
        ]
        return torch.cat(parts, dim=1)


def pairwise_product(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None = None
) -> Tensor:
    """Compute the multilinear inner product of each anchor with each item's vectors.

    Source: Symile (Saporta and others, NeurIPS 2024, arXiv 2411.01053): the sum over the width of
    the product of all vectors' entries. Large is near. With one vector an item it is the cosine.
    A missing vector is left out of the product.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        present_mk: True where an item has the vector, bool, shape (M, K); None: all are there.

    Returns:
        Products, float32 (float64 if an input is), shape (N, M), unitless, in [-1, 1] for unit
        vectors of an item that has one at least.

    Raises:
        ValueError: If a shape is wrong.
    """
    check_pairs(anchors_nd, vectors_mkd, present_mk)
    dtype = compute_dtype(anchors_nd, vectors_mkd)
    with full_precision(anchors_nd.device):
        vectors_mkd = vectors_mkd.to(dtype)
        if present_mk is not None:
            vectors_mkd = torch.where(present_mk.unsqueeze(-1), vectors_mkd, 1.0)
        return anchors_nd.to(dtype) @ vectors_mkd.prod(dim=1).mT


def pairwise_mean_cosine(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None = None
) -> Tensor:
    """Compute the mean cosine of each anchor with the vectors that each item has.

    Large is near. An item without any vector has 0 with every anchor.

    Args:
        anchors_nd: Anchors, usually texts, of unit length, float, shape (N, D).
        vectors_mkd: The vectors of each item, of unit length, float, shape (M, K, D), K >= 1.
        present_mk: True where an item has the vector, bool, shape (M, K); None: all are there.

    Returns:
        Cosines, float32 (float64 if an input is), shape (N, M), unitless, in [-1, 1].

    Raises:
        ValueError: If a shape is wrong.
    """
    check_pairs(anchors_nd, vectors_mkd, present_mk)
    dtype = compute_dtype(anchors_nd, vectors_mkd)
    with full_precision(anchors_nd.device):
        vectors_mkd = _present(vectors_mkd.to(dtype), present_mk)
        mean_md = vectors_mkd.mean(dim=1)
        if present_mk is not None:
            counts_m = present_mk.sum(dim=1).clamp_min(1)
            mean_md = vectors_mkd.sum(dim=1) / counts_m.unsqueeze(-1)
        return anchors_nd.to(dtype) @ mean_md.mT


def tuple_spectrum(vectors_bkd: Tensor, *, present_bk: Tensor | None = None) -> Spectrum:
    """Compute the singular values of each tuple of vectors, and the direction of the largest.

    Ours: the direction points to the side where the tuple's sum lies, since that of a singular
    vector is arbitrary. Gradients are those of quadratic forms in fixed eigenvectors and of a few
    steps of the power method, so that they stay finite where singular values are equal.

    Args:
        vectors_bkd: Vectors, float, shape (B, K, D).
        present_bk: True where a tuple has the vector, bool, shape (B, K); None: all are there. A
            missing one adds a value of 0 at the end, which reads as the floor.

    Returns:
        Values and directions, float32 (float64 if the vectors are).

    Raises:
        ValueError: If a shape is wrong.
    """
    check_vectors(vectors_bkd, present_bk)
    with full_precision(vectors_bkd.device):
        vectors_bkd = _present(vectors_bkd.to(compute_dtype(vectors_bkd)), present_bk)
        gram_bkk = vectors_bkd @ vectors_bkd.mT
        mixing_bkj = torch.linalg.eigh(gram_bkk.detach()).eigenvectors.flip(-1)
        squared_bj = (mixing_bkj * (gram_bkk @ mixing_bkj)).sum(dim=1)
        leading_bk = mixing_bkj[:, :, 0]
        for _ in range(POWER_STEPS):
            leading_bk = normalize((gram_bkk @ leading_bk.unsqueeze(-1)).squeeze(-1), dim=-1)
        directions_bd = normalize((leading_bk.unsqueeze(1) @ vectors_bkd).squeeze(1), dim=-1)
        side_b = (directions_bd * vectors_bkd.sum(dim=1)).sum(dim=-1, keepdim=True)
        directions_bd = torch.where(side_b < 0, -directions_bd, directions_bd)
        return Spectrum(squared_bj.clamp_min(FLOOR).sqrt(), directions_bd)


def _leading_eigenvalue(anchors_nd: Tensor, vectors_mkd: Tensor) -> Tensor:
    """Give the largest eigenvalue of each pair, shape (N, M): one chunk."""
    items, count, _ = vectors_mkd.shape
    squared_n = anchors_nd.square().sum(dim=-1)
    cosine_nmk = (anchors_nd @ vectors_mkd.flatten(0, 1).mT).view(-1, items, count)
    gram_mkk = vectors_mkd @ vectors_mkd.mT
    with torch.no_grad():
        whole = gram_mkk.new_empty(len(anchors_nd), items, count + 1, count + 1)
        whole[..., 1:, 1:] = gram_mkk
        whole[..., 0, 1:] = whole[..., 1:, 0] = cosine_nmk
        whole[..., 0, 0] = squared_n.unsqueeze(1)
        mixing = torch.linalg.eigh(whole).eigenvectors[..., -1]
    first_nm, rest_nmk = mixing[..., 0], mixing[..., 1:]
    inside_nmk = torch.einsum("nmk,mkl->nml", rest_nmk, gram_mkk)
    own_nm: Tensor = first_nm.square() * squared_n.unsqueeze(1)
    across_nm = 2 * first_nm * (rest_nmk * cosine_nmk).sum(dim=-1)
    within_nm = (inside_nmk * rest_nmk).sum(dim=-1)
    eigenvalue_nm: Tensor = own_nm + across_nm + within_nm
    return eigenvalue_nm


def _present(vectors_mkd: Tensor, present_mk: Tensor | None) -> Tensor:
    """Put zeros where a vector is missing, whatever stood there."""
    if present_mk is None:
        return vectors_mkd
    return torch.where(present_mk.unsqueeze(-1), vectors_mkd, 0.0)
