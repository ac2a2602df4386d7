"""What all measures of anchors with items share: the type they compute in, and checks of shapes.

Shape letters of this file: N anchors, M items, K vectors of an item, D embedding width.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """Give the type to compute in: float64 if one of the tensors is, else float32."""
    is_double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if is_double else torch.float32


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch autocast off, and products of float32 that round to fewer bits."""
    before = torch.get_float32_matmul_precision()
    with torch.autocast(device.type, enabled=False):
        if before == "highest":
            yield
            return
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def check_vectors(vectors_mkd: Tensor, present_mk: Tensor | None) -> None:
    """Check that there are vectors (M, K, D) with K of 1 or more, and marks that fit.

    Raises:
        ValueError: If one has another shape or type.
    """
    if vectors_mkd.ndim != 3 or vectors_mkd.shape[1] < 1:
        raise ValueError(
            f"vectors need three axes (item, vector, width) with one vector or more, got shape "
            f"{tuple(vectors_mkd.shape)}; stack the modalities along the second axis"
        )
    _check_real(vectors_mkd, what="vectors")
    if present_mk is not None and present_mk.dtype != torch.bool:
        raise ValueError(
            f"present needs true or false for each vector, got {present_mk.dtype}; "
            "convert it by present.bool()"
        )
    if present_mk is not None and present_mk.shape != vectors_mkd.shape[:2]:
        raise ValueError(
            f"present needs shape {tuple(vectors_mkd.shape[:2])}, got {tuple(present_mk.shape)}; "
            "give one mark for each vector"
        )


def _check_real(vectors: Tensor, *, what: str) -> None:
    if not vectors.is_floating_point():
        raise ValueError(f"{what} need real numbers, got {vectors.dtype}; convert them to a float")


def check_pairs(anchors_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor | None) -> None:
    """Check that there are anchors (N, D) and vectors (M, K, D) of one width, and marks that fit.

    Raises:
        ValueError: If one has another shape.
    """
    check_vectors(vectors_mkd, present_mk)
    _check_real(anchors_nd, what="anchors")
    width = vectors_mkd.shape[2]
    if anchors_nd.ndim != 2 or anchors_nd.shape[1] != width:
        raise ValueError(
            f"anchors need shape (N, {width}), got {tuple(anchors_nd.shape)}; give one row a text, "
            "as wide as the items' vectors"
        )
