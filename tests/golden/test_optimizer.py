"""Parameter groups, schedules and steps that the published optimizer gave."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import torch
from torch import nn

from gram.config import OptimizerConfig, TrainingConfig
from gram.training.adamw import PublishedAdamW
from gram.training.optimizer import ORDER, build_optimizer, paper_group, schedule_factor
from tests.golden.published import published_steps
from tests.golden.recording import facts_of

FACTS = facts_of("07_optim")
SETTINGS = sorted(FACTS["param_groups"])
SCHEDULES = sorted(FACTS["schedule"]["factor_at_step"])
STEPS = [
    (name, int(step)) for name in SCHEDULES for step in FACTS["schedule"]["factor_at_step"][name]
]


class Named(nn.Module):
    """Has parameters of given names, whatever dots these have."""

    def __init__(self, names: list[str]) -> None:
        """Give every name a parameter."""
        super().__init__()
        self.named = {name: nn.Parameter(torch.zeros(2, 2)) for name in names}

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:  # noqa: ANN401
        """Give the names and their parameters."""
        yield from self.named.items()


@pytest.fixture
def recorded(golden: Callable[[str], Any]) -> dict[str, Any]:
    facts: dict[str, Any] = golden("07_optim").facts
    return facts


def names_of(groups: list[dict[str, Any]]) -> list[str]:
    return [name for group in groups for name in group["names"]]


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_parameter_is_in_the_published_group(recorded: dict[str, Any], setting: str) -> None:
    one = recorded["param_groups"][setting]
    new = one["run_cfg"]["new_params_name"]
    ours: dict[str, list[str]] = {name: [] for name in recorded["group_order"]}
    for name in names_of(one["groups"]):
        ours[recorded["group_order"][ORDER.index(paper_group(name, new=new))]].append(name)
    assert list(ours.values()) == [group["names"] for group in one["groups"]]


@pytest.mark.parametrize("setting", SETTINGS)
def test_groups_have_the_published_numbers(recorded: dict[str, Any], setting: str) -> None:
    one = recorded["param_groups"][setting]
    given, model = one["run_cfg"], Named(names_of(one["groups"]))
    settings = OptimizerConfig(
        weight_decay=given["weight_decay"],
        beta1=given["betas"][0],
        beta2=given["betas"][1],
        new_parameters=tuple(given["new_params_name"]),
    )
    training = TrainingConfig(
        steps=1,
        learning_rate=given["learning_rate"],
        vision_learning_rate=given["clip_lr"],
        new_learning_rate=given["new_lr"] or None,
    )
    optimizer = build_optimizer(model, settings, training=training, rename=str)
    names = {id(parameter): name for name, parameter in model.named.items()}
    ours = [
        (
            [names[id(parameter)] for parameter in group["params"]],
            *(group[number] for number in ("peak", "weight_decay", "betas", "eps")),
        )
        for group in optimizer.param_groups
    ]
    assert ours == [
        (
            group["names"],
            *(group[number] for number in ("init_lr", "weight_decay")),
            tuple(group["betas"]),
            group["eps"],
        )
        for group in one["groups"]
        if group["names"]
    ]


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_the_rate_is_the_published_one(
    recorded: dict[str, Any],
    name: Literal["warmup_linear", "warmup_cosine"],
    step: int,
) -> None:
    schedule = recorded["schedule"]
    factor = schedule_factor(
        step,
        num_steps=schedule["num_train_steps"],
        warmup=schedule["warmup_ratio"],
        schedule=name,
    )
    expected = schedule["factor_at_step"][name][str(step)]
    assert factor == pytest.approx(expected, abs=1e-12)


def test_rates_of_the_steps_are_the_published_ones(golden: Callable[[str], Any]) -> None:
    recording = golden("07_optim")
    steps = published_steps(recording, PublishedAdamW)
    expected = [recording.tensors[f"adamw.step{step}.lr"].tolist() for step, _, _ in steps]
    assert [rates for _, rates, _ in steps] == [pytest.approx(rate, abs=1e-15) for rate in expected]


def test_every_step_ends_where_the_published_one_does(golden: Callable[[str], Any]) -> None:
    recording = golden("07_optim")
    worst = max(
        float((value - recording.tensors[f"adamw.step{step}.p{i}"]).abs().max())
        for step, _, values in published_steps(recording, PublishedAdamW)
        for i, value in enumerate(values)
    )
    assert worst <= 1e-6
