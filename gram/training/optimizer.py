"""Parameter groups, the optimizer's form, and the learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from torch import nn
from torch.optim import AdamW, Optimizer

from gram.config import OptimizerConfig, TrainingConfig
from gram.training.adamw import PublishedAdamW
from gram.upstream import released_name

NOT_DECAYED = ("bias", "LayerNorm.bias", "LayerNorm.weight")
"""Parts of published names that are not decayed in the released code."""

TABLES = ("pos_embed", "position_embeddings", "cls_token", "unit", "kind")
"""Last or last but one part of the names of position tables and class tokens."""


class Group(NamedTuple):
    """Which rate a parameter learns with, and whether it is decayed; groups sort in this order."""

    rate: Literal["basic", "new", "vision"]
    is_decayed: bool


ORDER = tuple(
    Group(rate, is_decayed) for rate in ("basic", "new", "vision") for is_decayed in (True, False)
)
"""Groups in the order of the released code."""


def paper_group(name: str, *, new: Sequence[str] = ()) -> Group:
    """Assign a parameter as the released code does, by parts of its published name.

    What is named in ``new`` is new, wherever it stands; what has "visual" in its name is the
    vision tower's; norms that are not called LayerNorm are decayed.

    Args:
        name: Name in the released code.
        new: Parts of the names of new parameters.

    Example:
        >>> paper_group("vision_encoder.visual.blocks.0.norm1.weight")
        Group(rate='vision', is_decayed=True)
    """
    is_decayed = not any(part in name for part in NOT_DECAYED)
    if any(part in name for part in new):
        return Group("new", is_decayed)
    return Group("vision" if "visual" in name else "basic", is_decayed)


def corrected_group(name: str, *, axes: int, new: Sequence[str] = ()) -> Group:
    """Assign a parameter so that only matrices and kernels are decayed.

    Everything of one axis or none (biases, norms, vectors of a modality, the temperature),
    position tables and class tokens are not.

    Args:
        name: Name in this project.
        axes: Number of the parameter's axes.
        new: Parts of the names of new parameters.

    Example:
        >>> corrected_group("vision.tower.pos_embed", axes=3)
        Group(rate='vision', is_decayed=False)
    """
    is_table = any(part in TABLES for part in name.split(".")[-2:])
    is_decayed = axes > 1 and not is_table
    if any(part in name for part in new):
        return Group("new", is_decayed)
    return Group("vision" if name.startswith("vision.") else "basic", is_decayed)


def build_optimizer(
    model: nn.Module,
    optimizer: OptimizerConfig,
    *,
    training: TrainingConfig,
    rename: Callable[[str], str] = released_name,
) -> Optimizer:
    """Build the optimizer of the preset, with one group a pair of (rate, decayed or not).

    The highest rate of each group stands in ``group["peak"]``, its name in ``group["rate"]``.
    Groups without parameters are left out. Parameters that are frozen stay in their group and are
    skipped, as they get no gradient. Both presets run by torch's fused kernel, on a CPU too.

    Args:
        model: Its parameters are grouped by name; the preset ``paper`` goes by the names that they
            have in the released code.
        optimizer: Preset and numbers of AdamW.
        training: Rates.
        rename: Gives a parameter's name in the released code.
    """
    groups: dict[Group, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        group = _group_of(name, parameter, optimizer=optimizer, rename=rename)
        groups.setdefault(group, []).append(parameter)
    basic = training.learning_rate
    rates = {
        "basic": basic,
        "new": training.new_learning_rate or basic,
        "vision": training.vision_learning_rate or basic,
    }
    described = [
        {
            "params": groups[group],
            "peak": rates[group.rate],
            "rate": group.rate,
            "weight_decay": optimizer.weight_decay if group.is_decayed else 0.0,
        }
        for group in ORDER
        if group in groups
    ]
    betas, eps = (optimizer.beta1, optimizer.beta2), optimizer.eps
    if optimizer.preset == "paper":
        return PublishedAdamW(described, lr=basic, betas=betas, eps=eps)
    return AdamW(described, lr=basic, betas=betas, eps=eps, fused=True)


def schedule_factor(
    step: int,
    *,
    num_steps: int,
    warmup: float,
    schedule: Literal["warmup_linear", "warmup_cosine"] = "warmup_linear",
) -> float:
    """Give the share of the peak rate at a step: linear up, then down to 0.

    Args:
        step: Number of the step, counted from 1, so that the first one has a rate above 0.
        num_steps: Number of steps of the whole training.
        warmup: Share of the steps in which the rate rises, in [0, 1].
        schedule: How it falls. ``warmup_linear``: evenly from the peak. ``warmup_cosine``: on the
            half cosine over all steps, warm-up included, so that it jumps down from the peak at the
            end of the warm-up (released code).

    Example:
        >>> [schedule_factor(step, num_steps=4, warmup=0.5) for step in (1, 2, 3, 4)]
        [0.5, 1.0, 0.5, 0.0]
    """
    done = step / num_steps
    if done < warmup:
        return done / warmup
    if schedule == "warmup_cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return (1 - done) / (1 - warmup) if warmup < 1 else 1.0


def set_rate(optimizer: Optimizer, factor: float) -> float:
    """Set each group's rate to its peak times the factor; return the highest rate."""
    groups: Iterable[dict[str, float]] = optimizer.param_groups
    for group in groups:
        group["lr"] = group["peak"] * factor
    return max(group["lr"] for group in groups)


def _group_of(
    name: str,
    parameter: nn.Parameter,
    *,
    optimizer: OptimizerConfig,
    rename: Callable[[str], str],
) -> Group:
    new = optimizer.new_parameters
    if optimizer.preset == "corrected":
        return corrected_group(name, axes=parameter.ndim, new=new)
    return paper_group(rename(name), new=new)
