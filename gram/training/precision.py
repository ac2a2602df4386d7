"""The numbers that encoders and matching head compute in: float32, bfloat16, float16.

Weights, moments and losses are float32 in all of them.
"""

from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch.amp.grad_scaler import GradScaler

PrecisionName = Literal["fp32", "bf16", "fp16"]

DTYPES: dict[PrecisionName, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""What autocast computes in; None: it is off."""

SMALLEST_SCALE = 1.0
"""Below this factor of the gradients in float16 the gradient is not finite in float32 either."""


class Precision:
    """How a step computes, and the factor that keeps small gradients above 0 in float16."""

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        """Take the name of the setting and the device that computes."""
        self._dtype, self._device = DTYPES[name], device
        self.scaler = GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[object]:
        """Give the context of one forward pass. Backward passes stand outside of it.

        One context a pass: it keeps the weights that it has cast, with gradient or without.
        """
        return torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None)

    @property
    def has_given_up(self) -> bool:
        """Whether the scale has been halved so often that the gradient cannot be finite."""
        return self.scaler.is_enabled() and self.scaler.get_scale() < SMALLEST_SCALE
