"""Volumes of tuples and their gradients, some tuples at a time.

Shape letters of this file: B tuples, M vectors in a tuple, D embedding width.
"""

from typing import Any

import torch
from torch import Tensor

from gram.volume.basis import basis_numbers, item_basis, pull_back
from gram.volume.checks import compute_dtype, full_precision
from gram.volume.tiles import ONCE, even_slices


def tuple_volumes(vectors_bmd: Tensor, *, memory_mib: float) -> Tensor:
    """Compute the volumes of tuples, with a gradient, shape (B,)."""
    volume_b: Tensor = _TupleVolumes.apply(  # type: ignore[no-untyped-call] # torch's own
        vectors_bmd, memory_mib
    )
    return volume_b


def _slices(vectors_bmd: Tensor, memory_mib: float) -> list[slice]:
    """Cut the tuples so that the basis of some, and their gradient, fit into the memory."""
    tuples, count, width = vectors_bmd.shape
    dtype = compute_dtype(vectors_bmd)
    numbers = basis_numbers(count, width, dtype=dtype) + count * width
    return even_slices(tuples, max(1, int(memory_mib * 2**20 / dtype.itemsize) // numbers))


class _TupleVolumes(torch.autograd.Function):
    """Volumes of tuples with a gradient that is computed some tuples at a time."""

    @staticmethod
    def forward(ctx: Any, vectors_bmd: Tensor, memory_mib: float) -> Tensor:  # noqa: ANN401 - torch gives it no type
        """Compute the volumes, shape (B,)."""
        ctx.save_for_backward(vectors_bmd)
        ctx.memory_mib = memory_mib
        dtype = compute_dtype(vectors_bmd)
        out_b = vectors_bmd.new_empty(len(vectors_bmd), dtype=dtype)
        with full_precision(vectors_bmd.device):
            for some in _slices(vectors_bmd, memory_mib):
                basis = item_basis(vectors_bmd[some], None, dtype=dtype)
                out_b[some] = basis.volume_m
                del basis  # before the next one is made
        return out_b

    @staticmethod
    def backward(ctx: Any, gradient_b: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Compute the gradients of the vectors."""
        (vectors_bmd,) = ctx.saved_tensors
        vector_bmd: Tensor = _TupleGradients.apply(  # type: ignore[no-untyped-call]
            vectors_bmd, gradient_b, ctx.memory_mib
        )
        return vector_bmd, None


class _TupleGradients(torch.autograd.Function):
    """Gradients of the volumes; asked for their own gradient, they say that there is none."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        vectors_bmd: Tensor,
        gradient_b: Tensor,
        memory_mib: float,
    ) -> Tensor:
        dtype = compute_dtype(vectors_bmd)
        vector_bmd = torch.empty_like(vectors_bmd)
        with full_precision(vectors_bmd.device):
            for some in _slices(vectors_bmd, memory_mib):
                basis = item_basis(vectors_bmd[some], None, dtype=dtype)
                pull_b = gradient_b[some] * basis.volume_m
                vector_bmd[some] = pull_back(basis, None, pull_m=pull_b)
                del basis  # before the next one is made
        return vector_bmd

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:  # noqa: ANN401
        raise RuntimeError(ONCE.format(what="volume"))
