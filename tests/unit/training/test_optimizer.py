from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch.optim import AdamW

from gram.config import OptimizerConfig, TrainingConfig
from gram.model import GramModel
from gram.training.optimizer import build_optimizer, schedule_factor, set_rate

TRAINING = TrainingConfig(steps=10, learning_rate=1e-3, vision_learning_rate=1e-5)


@pytest.fixture
def model(make_model: Callable[..., GramModel]) -> GramModel:
    return make_model()


def build(model: GramModel, training: TrainingConfig = TRAINING) -> AdamW:
    return build_optimizer(model, OptimizerConfig(weight_decay=0.3), training=training)


def group_of(model: GramModel, optimizer: AdamW, name: str) -> dict[str, float]:
    """Give the parameter group that holds a parameter."""
    parameter = dict(model.named_parameters())[name]
    (group,) = [
        group
        for group in optimizer.param_groups
        if any(parameter is member for member in group["params"])
    ]
    return group


def test_every_parameter_is_in_one_group(model: GramModel) -> None:
    counts = Counter(id(p) for group in build(model).param_groups for p in group["params"])
    assert counts == Counter(id(parameter) for parameter in model.parameters())


def test_only_weights_of_two_axes_or_more_are_decayed(model: GramModel) -> None:
    axes = {
        (group["weight_decay"], parameter.ndim > 1)
        for group in build(model).param_groups
        for parameter in group["params"]
    }
    assert axes == {(0.3, True), (0.0, False)}


@pytest.mark.parametrize(
    "name", ["temperature", "match_head.2.weight", "match_head.0.bias", "condition.video.kind"]
)
def test_is_not_decayed(model: GramModel, name: str) -> None:
    assert group_of(model, build(model), name)["weight_decay"] == 0


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("vision.tower.blocks.0.mlp.fc1.weight", 1e-5),
        ("vision.tower.patch_embed.proj.bias", 1e-5),
        ("projections.video.weight", 1e-3),
        ("condition.video.project.0.weight", 1e-3),
        ("text.bert.embeddings.word_embeddings.weight", 1e-3),
        ("temperature", 1e-3),
    ],
)
def test_has_the_rate(model: GramModel, name: str, rate: float) -> None:
    assert group_of(model, build(model), name)["peak"] == rate


def test_without_a_rate_of_its_own_the_vision_tower_learns_as_the_rest(model: GramModel) -> None:
    optimizer = build(model, TrainingConfig(steps=10, learning_rate=1e-3))
    assert {group["peak"] for group in optimizer.param_groups} == {1e-3}


def test_the_settings_of_adam_are_used(model: GramModel) -> None:
    settings = OptimizerConfig(beta1=0.8, beta2=0.95, eps=1e-5)
    optimizer = build_optimizer(model, settings, training=TRAINING)
    assert optimizer.defaults["betas"] == (0.8, 0.95)
    assert optimizer.defaults["eps"] == 1e-5


def test_a_rate_is_set_for_every_group(model: GramModel) -> None:
    optimizer = build(model)
    set_rate(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {5e-4, 5e-6}


def test_the_highest_rate_is_told(model: GramModel) -> None:
    assert set_rate(build(model), 0.5) == 5e-4


def test_a_factor_of_zero_changes_no_weight(model: GramModel) -> None:
    optimizer = build(model)
    set_rate(optimizer, 0.0)
    before = model.temperature.item()
    model.temperature.grad = torch.tensor(1.0)
    optimizer.step()
    assert model.temperature.item() == before


# --- schedule ---------------------------------------------------------------------------------


def factors(num_steps: int, warmup: float) -> list[float]:
    return [
        schedule_factor(step, num_steps=num_steps, warmup=warmup)
        for step in range(1, num_steps + 1)
    ]


def test_the_rate_rises_and_falls_by_equal_steps() -> None:
    expected = [0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    assert factors(10, 0.2) == pytest.approx(expected)


@pytest.mark.parametrize("num_steps", [2, 3, 10, 300])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_the_rate_stays_between_zero_and_its_peak(num_steps: int, warmup: float) -> None:
    assert all(0 <= factor <= 1 for factor in factors(num_steps, warmup))


@pytest.mark.parametrize("num_steps", [2, 3, 10, 300])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_the_first_step_learns(num_steps: int, warmup: float) -> None:
    assert factors(num_steps, warmup)[0] > 0


def test_without_warmup_the_rate_falls_from_the_start() -> None:
    assert factors(4, 0.0) == pytest.approx([0.75, 0.5, 0.25, 0.0])


def test_with_nothing_but_warmup_the_rate_only_rises() -> None:
    assert factors(4, 1.0) == pytest.approx([0.25, 0.5, 0.75, 1.0])
