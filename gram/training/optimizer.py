"""Parameter groups and the learning-rate schedule."""

from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW

from gram.config import OptimizerConfig, TrainingConfig


def build_optimizer(
    model: nn.Module, optimizer: OptimizerConfig, *, training: TrainingConfig
) -> AdamW:
    """Build AdamW with one group a pair of (vision tower or rest, decayed or not).

    Biases and everything of one axis or none (norms, the temperature) are not decayed. The rate
    of each group stands in ``group["peak"]``.
    """
    rates = {
        True: training.vision_learning_rate or training.learning_rate,
        False: training.learning_rate,
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = (name.startswith("vision."), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    return AdamW(
        [
            {
                "params": parameters,
                "peak": rates[is_vision],
                "weight_decay": optimizer.weight_decay if is_decayed else 0.0,
            }
            for (is_vision, is_decayed), parameters in sorted(groups.items())
        ],
        lr=training.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
    )


def schedule_factor(step: int, *, num_steps: int, warmup: float) -> float:
    """Give the share of the peak rate at a step: linear up, then linear down to 0.

    Args:
        step: Number of the step, counted from 1, so that the first one has a rate above 0.
        num_steps: Number of steps of the whole training.
        warmup: Share of the steps in which the rate rises, in [0, 1].

    Example:
        >>> [schedule_factor(step, num_steps=4, warmup=0.5) for step in (1, 2, 3, 4)]
        [0.5, 1.0, 0.5, 0.0]
    """
    done = step / num_steps
    if done < warmup:
        return done / warmup
    return (1 - done) / (1 - warmup) if warmup < 1 else 1.0


def set_rate(optimizer: AdamW, factor: float) -> float:
    """Set each group's rate to its peak times the factor; return the highest rate."""
    groups: Iterable[dict[str, float]] = optimizer.param_groups
    for group in groups:
        group["lr"] = group["peak"] * factor
    return max(group["lr"] for group in groups)
