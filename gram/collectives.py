"""What the processes of one training exchange: tensors of all ranks, with or without gradient.

Without a process group there is one rank, 0 of 1, and nothing is sent.

Shape letters of this file: B rows of one rank, N = B times ranks rows of all.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, distributed, nn

Value = TypeVar("Value")

Gathering = Literal["detached", "connected"]
"""Whether gathered tensors carry gradient."""

LONGEST_SHAPE = 6
"""Most axes of a gathered tensor."""

MOST_SENT = 2**24
"""Most numbers of gradients that are sent at once: few messages, little memory."""


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


def any_rank(is_so: bool | Tensor, *, device: torch.device) -> bool:
    """Say whether something is so in at least one rank; all ranks get the same answer."""
    if num_ranks() == 1:
        return bool(is_so)
    answer = torch.as_tensor(is_so, device=device).to(torch.float32)
    distributed.all_reduce(answer, distributed.ReduceOp.MAX)
    return bool(answer)


def of_first_rank(value: Value) -> Value:
    """Give what rank 0 has, to all ranks; each waits until rank 0 comes here."""
    if num_ranks() == 1:
        return value
    sent = [value]
    distributed.broadcast_object_list(sent, src=0)
    return sent[0]


def of_all_ranks(value: Value) -> list[Value]:
    """Give what each rank has, in order of ranks, to all of them."""
    if num_ranks() == 1:
        return [value]
    gathered: list[Any] = [None] * num_ranks()
    distributed.all_gather_object(gathered, value)
    return gathered


def mean_of_ranks(values: Tensor) -> Tensor:
    """Average a tensor over ranks; a number that is not finite in one of them is not in any."""
    if num_ranks() == 1:
        return values
    mean = values.clone()
    distributed.all_reduce(mean)
    return mean / num_ranks()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients of all ranks, in each of them.

    A parameter that got no gradient in some ranks counts as one of zeros there; one that got none
    anywhere keeps none. All ranks give the same parameters in the same order.
    """
    parameters = list(parameters)
    if num_ranks() == 1 or not parameters:
        return
    has_gradient = torch.tensor(
        [one.grad is not None for one in parameters], dtype=torch.int32, device=parameters[0].device
    )
    distributed.all_reduce(has_gradient)
    gradients = []
    for parameter, count in zip(parameters, has_gradient.tolist(), strict=True):
        if count and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            gradients.append(parameter.grad)
    for group in _groups_of(gradients):
        joined = torch.cat([gradient.flatten() for gradient in group])
        distributed.all_reduce(joined)
        sizes = [gradient.numel() for gradient in group]
        parts = torch.split(joined / num_ranks(), sizes)
        for gradient, part in zip(group, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def _groups_of(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Put tensors of one dtype together, up to the most that is sent at once."""
    group: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if group and (size + tensor.numel() > MOST_SENT or tensor.dtype != group[0].dtype):
            yield group
            group, size = [], 0
        group.append(tensor)
        size += tensor.numel()
    if group:
        yield group


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
