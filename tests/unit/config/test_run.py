from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.optim import AdamW

from gram.config import (
    InputsConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)
from gram.types import ITEM_MODALITIES, Modality


def test_modalities_have_one_order() -> None:
    config = ModelConfig.model_validate({"modalities": ["depth", "audio", "video"]})
    assert config.modalities == (Modality.VIDEO, Modality.AUDIO, Modality.DEPTH)


def test_all_modalities_can_be_used() -> None:
    assert ModelConfig(modalities=ITEM_MODALITIES).modalities == ITEM_MODALITIES


def test_the_anchor_is_no_modality_of_the_item() -> None:
    with pytest.raises(ValidationError, match=r"model\.modalities names text; leave it out"):
        ModelConfig.model_validate({"modalities": ["text", "video"]})


def test_a_modality_is_named_once() -> None:
    with pytest.raises(ValidationError, match="names one twice: video, video, audio"):
        ModelConfig.model_validate({"modalities": ["video", "audio", "video"]})


def test_a_model_needs_a_modality() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        ModelConfig.model_validate({"modalities": []})


def test_an_unknown_modality_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(ValidationError, match="'text', 'video', 'audio', 'subtitle' or 'depth'"):
        ModelConfig.model_validate({"modalities": ["sound"]})


def test_a_space_too_narrow_for_the_volume_is_refused() -> None:
    with pytest.raises(ValidationError, match="embedding_width is below the number of modalities"):
        ModelConfig.model_validate({"modalities": ["video", "audio"], "embedding_width": 2})


@pytest.mark.parametrize("values", [{}, {"steps": 5, "epochs": 1}], ids=["neither", "both"])
def test_a_training_has_steps_or_epochs(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give steps or epochs, one of them"):
        TrainingConfig.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"batch_size": 1},
        {"steps": 0},
        {"epochs": 0},
        {"learning_rate": 0},
        {"learning_rate": -1e-3},
        {"checkpoint_steps": 0},
        {"cache_mib": -1},
        {"split": "Train"},
        {"learning_rate": float("nan")},
    ],
    ids=str,
)
def test_a_training_is_in_range(values: dict[str, Any]) -> None:
    length = {} if {"steps", "epochs"} & set(values) else {"steps": 1}
    with pytest.raises(ValidationError, match=next(iter(values))):
        TrainingConfig.model_validate({**length, **values})


@pytest.mark.parametrize("values", [{"beta1": 1.0}, {"beta2": 1.0}], ids=str)
def test_settings_that_the_optimizer_refuses_are_refused_at_once(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        OptimizerConfig.model_validate(values)


def test_the_defaults_suit_the_optimizer() -> None:
    config = OptimizerConfig()
    assert AdamW([torch.zeros(1)], betas=(config.beta1, config.beta2), eps=config.eps).defaults


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("model", {"vision": {"width": 64, "heads": 5}}),
        ("model", {"audio": {"width": 64, "heads": 5}}),
        ("model", {"text": {"width": 64, "heads": 5}}),
        ("model", {"vision": {"patch": 15}}),
        ("model", {"audio": {"patch": 48}}),
        ("inputs", {"image_pixels": 225}),
        ("inputs", {"audio_frames": 1000}),
        ("inputs", {"mel_bins": 72}),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value),
)
def test_a_model_that_cannot_be_built_is_refused_before_any_job(
    section: str, values: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=r"heads|patch"):
        RunConfig.model_validate({section: values})


def test_what_a_run_does_not_use_need_not_fit() -> None:
    config = {"model": {"modalities": ["video"]}, "inputs": {"audio_frames": 1000}}
    assert RunConfig.model_validate(config).inputs.audio_frames == 1000


def test_the_defaults_are_the_paper_s_sizes() -> None:
    run = RunConfig()
    assert (run.model.embedding_width, run.inputs.train_frames, run.loss.temperature) == (
        512,
        8,
        0.07,
    )


def test_every_setting_is_described() -> None:
    described = {
        name: field.description
        for section in (InputsConfig, OptimizerConfig, TrainingConfig)
        for name, field in section.model_fields.items()
    }
    assert [name for name, description in described.items() if not description] == []
