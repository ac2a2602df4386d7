"""AdamW as the released code has it, which is not quite torch's."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


class PublishedAdamW(Optimizer):
    """Adam with decoupled weight decay, in the form of the released code.

    With first and second moment m and v, step t and rate r, a parameter p becomes
    ``p' = p - r * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)``, and then
    ``p' - r * weight_decay * p'``. In torch's form ``eps`` is added to the corrected root, and the
    decay is that of p. Parameters without gradient are left as they are, decay included.
    """

    def __init__(
        self,
        params: Any,  # noqa: ANN401 - parameters or groups, as torch's optimizers take them
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        """Take parameters or groups of them; the values are those of groups without their own.

        Args:
            params: Parameters, or groups as dictionaries.
            lr: Learning rate.
            betas: Decay of the first and the second moment, in [0, 1).
            eps: Added to the uncorrected root of the second moment, above 0.
            weight_decay: Decoupled weight decay.
        """
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override] # torch overloads it
        """Take one step; a closure, if given, computes the loss first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["first"], state["second"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["first"].mul_(beta1).add_(parameter.grad, alpha=1 - beta1)
        state["second"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
        size = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        parameter.addcdiv_(state["first"], state["second"].sqrt().add_(group["eps"]), value=-size)
        if group["weight_decay"] > 0:
            parameter.add_(parameter, alpha=-group["lr"] * group["weight_decay"])
