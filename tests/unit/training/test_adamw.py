"""AdamW of the released code, against loops in plain Python and against torch's."""

import math

import pytest
import torch
from torch.optim import AdamW

from gram.training.adamw import PublishedAdamW

GRADIENTS = ([0.5, -2.0], [0.1, 0.3], [-0.4, 0.0])


def stepped(optimizer: type[PublishedAdamW | AdamW], **settings: float) -> list[list[float]]:
    """Give the parameter after each of three steps."""
    parameter = torch.tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True)
    adam = optimizer([parameter], lr=0.1, betas=(0.9, 0.98), **settings)
    values = []
    for gradient in GRADIENTS:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        adam.step()
        values.append(parameter.tolist())
    return values


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_steps_are_those_of_the_formula(decay: float) -> None:
    expected, values, first, second = [], [1.0, -3.0], [0.0, 0.0], [0.0, 0.0]
    for step, gradient in enumerate(GRADIENTS, start=1):
        size = 0.1 * math.sqrt(1 - 0.98**step) / (1 - 0.9**step)
        for i, slope in enumerate(gradient):
            first[i] = 0.9 * first[i] + 0.1 * slope
            second[i] = 0.98 * second[i] + 0.02 * slope**2
            values[i] -= size * first[i] / (math.sqrt(second[i]) + 1e-3)
            values[i] -= 0.1 * decay * values[i]
        expected.append(list(values))
    given = stepped(PublishedAdamW, eps=1e-3, weight_decay=decay)
    assert given == [pytest.approx(row, abs=1e-12) for row in expected]


def test_with_a_vanishing_eps_and_no_decay_it_is_torch_s() -> None:
    given, torch_s = (
        stepped(form, eps=1e-30, weight_decay=0.0) for form in (PublishedAdamW, AdamW)
    )
    assert given == [pytest.approx(row, abs=1e-12) for row in torch_s]


def test_a_parameter_without_gradient_is_left_as_it_is() -> None:
    parameter = torch.ones(2, requires_grad=True)
    PublishedAdamW([parameter], lr=0.1, weight_decay=0.5).step()
    assert parameter.tolist() == [1, 1]


def test_a_parameter_that_got_no_gradient_in_a_step_is_a_step_younger() -> None:
    older, younger, alone = (torch.ones(2, requires_grad=True) for _ in range(3))
    both = PublishedAdamW([older, younger], lr=0.1)
    single = PublishedAdamW([alone], lr=0.1)
    older.grad = torch.ones(2)
    both.step()
    for one in (older, younger, alone):
        one.grad = torch.tensor([2.0, -1.0])
    both.step()
    single.step()
    assert torch.equal(younger, alone)
    assert not torch.equal(older, younger)


def test_a_frozen_state_goes_on_as_if_nothing_had_happened() -> None:
    def build() -> tuple[torch.Tensor, PublishedAdamW]:
        parameter = torch.tensor([1.0, -3.0], requires_grad=True)
        return parameter, PublishedAdamW([parameter], lr=0.1, weight_decay=0.1)

    def step(parameter: torch.Tensor, adam: PublishedAdamW, gradient: list[float]) -> None:
        parameter.grad = torch.tensor(gradient)
        adam.step()

    straight, straight_adam = build()
    for gradient in GRADIENTS:
        step(straight, straight_adam, gradient)
    paused, adam = build()
    step(paused, adam, GRADIENTS[0])
    resumed, resumed_adam = build()
    resumed.data.copy_(paused.data)
    resumed_adam.load_state_dict(adam.state_dict())
    for gradient in GRADIENTS[1:]:
        step(resumed, resumed_adam, gradient)
    assert torch.equal(resumed, straight)


def test_a_closure_gives_the_loss() -> None:
    parameter = torch.ones(1, requires_grad=True)
    adam = PublishedAdamW([parameter], lr=0.1)

    def closure() -> float:
        loss = parameter.square().sum()
        loss.backward()
        return float(loss.detach())

    assert adam.step(closure) == 1
    assert parameter.item() < 1
