"""Sizes of models by name."""

import pytest

from gram.config import ModelConfig
from gram.config.presets import PRESETS


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_is_a_model(preset: str) -> None:
    assert ModelConfig.model_validate({"preset": preset}).preset == preset


def test_the_paper_s_sizes_are_the_defaults() -> None:
    assert ModelConfig.model_validate({"preset": "paper"}) == ModelConfig()


def test_what_is_said_besides_counts_more() -> None:
    model = ModelConfig.model_validate({"preset": "tiny", "text": {"depth": 3}})
    assert (model.text.depth, model.text.width) == (3, PRESETS["tiny"]["text"]["width"])


def test_a_preset_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"preset\s+Input should be 'tiny', 'small' or 'paper'"):
        ModelConfig.model_validate({"preset": "huge"})


def test_sizes_written_out_give_the_same_model() -> None:
    model = ModelConfig.model_validate({"preset": "tiny"})
    assert ModelConfig.model_validate_json(model.model_dump_json()) == model
