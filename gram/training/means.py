"""What a training may use. It decides how long the training takes, and no result."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a training may use; it decides no result, but for rounding on another device.

    Attributes:
        device: Where to train.
        workers: Threads that read clips ahead; 0: each batch is read when it is needed.
        cache_mib: Memory for decoded clips that are kept between epochs, in MiB; 0 keeps none.
        checkpoint_steps: Steps between two partial checkpoints, at least 1.
    """

    device: torch.device
    workers: int = 0
    cache_mib: int = 0
    checkpoint_steps: int = 500

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, least in (
            ("workers", self.workers, 0),
            ("cache_mib", self.cache_mib, 0),
            ("checkpoint_steps", self.checkpoint_steps, 1),
        ):
            if value < least:
                raise ValueError(
                    f"{name} of a training is {value}, and the least is {least}; "
                    "set it for the rule in the profile"
                )
