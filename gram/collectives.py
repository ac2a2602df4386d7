"""What the processes of one training exchange: tensors of all ranks, with or without gradient.

Without a process group there is one rank, 0 of 1, and nothing is sent.

Shape letters of this file: B rows of one rank, N = B times ranks rows of all.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, distributed

Gathering = Literal["detached", "connected"]
"""Whether gathered tensors carry gradient."""

LONGEST_SHAPE = 6
"""Most axes of a gathered tensor."""


def own_rank() -> int:
    """Give the number of this process, from 0."""
    return distributed.get_rank() if _is_running() else 0


def num_ranks() -> int:
    """Give the number of processes."""
    return distributed.get_world_size() if _is_running() else 1


def gather(tensors: Sequence[Tensor], *, gathering: Gathering) -> tuple[Tensor, ...]:
    """Join each tensor with those of the other ranks, along the first axis, in order of ranks.

    Rank r owns rows ``r * B`` to ``(r + 1) * B - 1`` of what comes back.

    Args:
        tensors: Any number of tensors of any dtype, shape (B, ...) each; every rank gives the
            same number of tensors, of the same shapes.
        gathering: ``detached``: what comes back carries no gradient, the own rows neither, not
            even with one process, as in the released code. ``connected``:
            the gradients that all ranks have for a row are summed and handed to its owner.

    Returns:
        Joined tensors, shape (N, ...) each. Without a process group: the tensors themselves,
        detached if asked for.

    Raises:
        ValueError: If a rank gives other shapes than this one.
    """
    if gathering == "detached":
        tensors = [tensor.detach() for tensor in tensors]
    if num_ranks() == 1:
        return tuple(tensors)
    _check_shapes(tensors)
    joined: tuple[Tensor, ...] = _Gather.apply(*tensors)  # type: ignore[no-untyped-call]
    return joined


class _Gather(torch.autograd.Function):
    """Gathers all tensors in one node of the graph, so that every rank sends in the same order."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, *tensors: Tensor) -> tuple[Tensor, ...]:
        joined = tuple(_joined(tensor) for tensor in tensors)
        ctx.mark_non_differentiable(*(one for one in joined if not one.is_floating_point()))
        return joined

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        return tuple(
            _own_share(gradient) if needed else None
            for gradient, needed in zip(gradients, ctx.needs_input_grad, strict=True)  # type: ignore[attr-defined]
        )


def _joined(tensor: Tensor) -> Tensor:
    """Gather one tensor; booleans travel as bytes, which every backend knows."""
    sent = tensor.detach().contiguous()
    if sent.dtype == torch.bool:
        sent = sent.to(torch.uint8)
    parts = [torch.empty_like(sent) for _ in range(num_ranks())]
    distributed.all_gather(parts, sent)
    return torch.cat(parts).to(tensor.dtype)


def _own_share(gradient: Tensor) -> Tensor:
    """Sum a gradient over ranks and take this rank's rows."""
    summed = gradient.contiguous().clone()
    distributed.all_reduce(summed)
    return summed.chunk(num_ranks())[own_rank()]


def _check_shapes(tensors: Sequence[Tensor]) -> None:
    """Compare shapes before anything is sent: backends hang or mix rows where they differ."""
    own = torch.zeros(len(tensors), LONGEST_SHAPE, dtype=torch.int64, device=tensors[0].device)
    for row, tensor in zip(own, tensors, strict=True):
        row[: tensor.ndim] = torch.tensor(tensor.shape)
    of_ranks = [torch.empty_like(own) for _ in range(num_ranks())]
    distributed.all_gather(of_ranks, own)
    for rank, other in enumerate(of_ranks):
        if not torch.equal(own, other):
            found = [[size for size in row if size] for row in other.tolist()]
            raise ValueError(
                f"rank {own_rank()} gathers shapes {[list(tensor.shape) for tensor in tensors]}, "
                f"rank {rank} gathers {found}; give every rank batches of the same size"
            )


def _is_running() -> bool:
    return distributed.is_available() and distributed.is_initialized()
