"""AdamW as the released code has it, which is not quite torch's, by torch's fused kernel."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

LATE_STEP = 1e6
"""A step so late that torch's corrections of the moments are 1: the published form has its own."""


class _Alike(NamedTuple):
    """What one call of the kernel takes: parameters of one age and kind."""

    step: int
    kind: type
    device: torch.device


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
            together: dict[_Alike, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    together.setdefault(self._grown(parameter), []).append(parameter)
            for alike, parameters in together.items():
                self._update(parameters, group, step=alike.step)
        return loss

    def _grown(self, parameter: Tensor) -> _Alike:
        """Count a step of a parameter, which may have got no gradient in earlier ones."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["first"], state["second"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        return _Alike(state["step"], type(parameter.data), parameter.device)

    def _update(self, parameters: list[Tensor], group: dict[str, Any], *, step: int) -> None:
        beta1, beta2 = group["betas"]
        states = [self.state[parameter] for parameter in parameters]
        late = torch.full((), LATE_STEP, device=parameters[0].device)
        adamw(
            parameters,
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["first"] for state in states],
            [state["second"] for state in states],
            [],
            [late] * len(parameters),
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"] * (1 - beta2**step) ** 0.5 / (1 - beta1**step),
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )
        if group["weight_decay"] > 0:
            torch._foreach_add_(parameters, parameters, alpha=-group["lr"] * group["weight_decay"])
