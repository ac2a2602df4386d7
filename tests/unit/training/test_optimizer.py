from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from gram.config import OptimizerConfig, TrainingConfig
from gram.model import GramModel
from gram.training.adamw import PublishedAdamW
from gram.training.optimizer import (
    Group,
    build_optimizer,
    corrected_group,
    paper_group,
    schedule_factor,
    set_rate,
)

TRAINING = TrainingConfig(steps=10, learning_rate=1e-3, vision_learning_rate=1e-5)


@pytest.fixture
def model(make_model: Callable[..., GramModel]) -> GramModel:
    return make_model()


NEW = {"paper": "itm_head", "corrected": "match_head"}
"""A part of a parameter's name as each preset goes by it."""

PRESETS = pytest.mark.parametrize("preset", ["paper", "corrected"])


def build(model: nn.Module, training: TrainingConfig = TRAINING, **settings: object) -> Optimizer:
    config = OptimizerConfig.model_validate({"weight_decay": 0.3, **settings})
    return build_optimizer(model, config, training=training)


def group_of(model: GramModel, optimizer: Optimizer, name: str) -> dict[str, float]:
    """Give the parameter group that holds a parameter."""
    parameter = dict(model.named_parameters())[name]
    (group,) = [
        group
        for group in optimizer.param_groups
        if any(parameter is member for member in group["params"])
    ]
    return group


@PRESETS
def test_every_parameter_is_in_one_group(model: GramModel, preset: str) -> None:
    groups = build(model, preset=preset).param_groups
    counts = Counter(id(parameter) for group in groups for parameter in group["params"])
    assert counts == Counter(id(parameter) for parameter in model.parameters())


@PRESETS
@pytest.mark.parametrize(
    "name",
    [
        "match_head.linear1.weight",
        "text.bert.embeddings.word_embeddings.weight",
        "vision.tower.patch_embed.proj.weight",
        "projections.audio.weight",
    ],
)
def test_is_decayed(model: GramModel, preset: str, name: str) -> None:
    assert group_of(model, build(model, preset=preset), name)["weight_decay"] == 0.3


@PRESETS
@pytest.mark.parametrize(
    "name", ["match_head.linear1.bias", "text.bert.embeddings.LayerNorm.weight"]
)
def test_is_not_decayed(model: GramModel, preset: str, name: str) -> None:
    assert group_of(model, build(model, preset=preset), name)["weight_decay"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "match_head.layernorm.weight",
        "condition.vision.kind",
        "condition.vision.unit",
        "vision.tower.pos_embed",
        "vision.tower.cls_token",
        "vision.tower.blocks.0.norm1.weight",
        "text.bert.embeddings.position_embeddings.weight",
    ],
)
@pytest.mark.parametrize(("preset", "decay"), [("paper", 0.3), ("corrected", 0.0)])
def test_is_decayed_as_published_only(
    model: GramModel, preset: str, decay: float, name: str
) -> None:
    assert group_of(model, build(model, preset=preset), name)["weight_decay"] == decay


@PRESETS
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("vision.tower.blocks.0.mlp.fc1.weight", 1e-5),
        ("vision.tower.patch_embed.proj.bias", 1e-5),
        ("projections.video.weight", 1e-3),
        ("condition.vision.project.0.weight", 1e-3),
        ("text.bert.embeddings.word_embeddings.weight", 1e-3),
        ("temperature", 1e-3),
    ],
)
def test_has_the_rate(model: GramModel, name: str, rate: float, preset: str) -> None:
    assert group_of(model, build(model, preset=preset), name)["peak"] == rate


@PRESETS
def test_new_parameters_have_their_rate_wherever_they_stand(model: GramModel, preset: str) -> None:
    training = TRAINING.model_copy(update={"new_learning_rate": 0.5})
    optimizer = build(model, training, preset=preset, new_parameters=[NEW[preset], "blocks.0."])
    assert group_of(model, optimizer, "match_head.linear1.weight")["peak"] == 0.5
    assert group_of(model, optimizer, "vision.tower.blocks.0.mlp.fc1.weight")["peak"] == 0.5


@PRESETS
def test_without_a_rate_of_their_own_new_parameters_learn_as_the_rest(
    model: GramModel, preset: str
) -> None:
    optimizer = build(model, preset=preset, new_parameters=[NEW[preset]])
    assert group_of(model, optimizer, "match_head.linear1.weight")["peak"] == 1e-3


@pytest.mark.parametrize(("preset", "form"), [("paper", PublishedAdamW), ("corrected", AdamW)])
def test_the_form_follows_the_preset(model: GramModel, preset: str, form: type[Optimizer]) -> None:
    assert type(build(model, preset=preset)) is form


def test_the_preset_paper_goes_by_published_names() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    names = {"a.weight": "some.visual.weight", "b.weight": "some.LayerNorm.weight"}
    optimizer = build_optimizer(
        model, OptimizerConfig(), training=TRAINING, rename=names.__getitem__
    )
    assert [(group["peak"], group["weight_decay"]) for group in optimizer.param_groups] == [
        (1e-3, 0.0),
        (1e-5, 0.01),
    ]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("contra_temp", Group("basic", True)),
        ("audio.relative_attention_bias.weight", Group("basic", False)),
        ("audio.layer_norm.weight", Group("basic", True)),
        ("vision_encoder.visual.attn.q_bias", Group("vision", False)),
        ("vision_encoder.text.ln_final.weight", Group("basic", True)),
        ("itm_head.linear1.bias", Group("new", False)),
        ("itm_head.visual.weight", Group("new", True)),
    ],
)
def test_published_names_are_grouped_by_their_parts(name: str, group: Group) -> None:
    assert paper_group(name, new=["itm_head"]) == group


@pytest.mark.parametrize(
    ("name", "axes", "group"),
    [
        ("temperature", 0, Group("basic", False)),
        ("text.weight", 2, Group("basic", True)),
        ("vision.kernel", 4, Group("vision", True)),
        ("vision.tower.cls_token", 3, Group("vision", False)),
        ("units.weight", 2, Group("basic", True)),
    ],
)
def test_names_here_are_grouped_by_axes_and_tables(name: str, axes: int, group: Group) -> None:
    assert corrected_group(name, axes=axes) == group


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


@pytest.mark.parametrize("num_steps", [2, 10, 300])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_the_cosine_stays_between_zero_and_the_peak(num_steps: int, warmup: float) -> None:
    given = [
        schedule_factor(step, num_steps=num_steps, warmup=warmup, schedule="warmup_cosine")
        for step in range(1, num_steps + 1)
    ]
    assert all(0 <= factor <= 1 for factor in given)
    assert given[-1] == pytest.approx(0)


def test_the_cosine_jumps_down_at_the_end_of_the_warmup() -> None:
    before, after = (
        schedule_factor(step, num_steps=100, warmup=0.5, schedule="warmup_cosine")
        for step in (49, 50)
    )
    assert (before, after) == pytest.approx((0.98, 0.5))
