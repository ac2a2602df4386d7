"""What happens to gradients between backward and the next step: averaged, clipped, taken."""

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from gram.collectives import average_gradients
from gram.model import GramModel
from gram.training.precision import Precision
from gram.training.sharding import is_shared, whole

SMALLEST_TEMPERATURE = 1e-3
"""The learned temperature is kept above this; at 0 the loss has no value."""


def average_and_clip(
    model: GramModel, optimizer: Optimizer, precision: Precision, *, clip_norm: float | None
) -> float:
    """Average gradients over ranks, take the scale off them, and clip them.

    Args:
        model: Holds the gradients of this rank.
        optimizer: Of these weights.
        precision: Holds the scale.
        clip_norm: Largest norm of all gradients together; None: they are not clipped.

    Returns:
        The norm before clipping, the same number in all ranks.
    """
    parts: list[list[nn.Parameter]] = [[], []]
    for parameter in model.parameters():
        if parameter.requires_grad:
            parts[is_shared(parameter)].append(parameter)
    average_gradients(parts[0])  # FSDP averages those that are kept in shares
    precision.scaler.unscale_(optimizer)
    with_gradient = [[one for one in part if one.grad is not None] for part in parts]
    norm = torch.stack([_norm(part) for part in with_gradient if part]).norm()
    if clip_norm is not None:
        for part in with_gradient:
            clip_grads_with_norm_(part, clip_norm, norm)
    return float(norm)


def take_step(model: GramModel, optimizer: Optimizer, precision: Precision) -> None:
    """Change the weights, unless the scale of float16 was too large, and keep the temperature."""
    precision.scaler.step(optimizer)
    precision.scaler.update()
    with torch.no_grad():
        model.temperature.clamp_(min=SMALLEST_TEMPERATURE)


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    return whole(get_total_norm([one.grad for one in parameters if one.grad is not None]))
