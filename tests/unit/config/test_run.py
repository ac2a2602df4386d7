from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.optim import AdamW

from gram.config import (
    InputsConfig,
    LossConfig,
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
        ("model", {"audio": {"position_groups": 7}}),
        ("inputs", {"image_pixels": 225}),
        ("inputs", {"audio_frames": 1000}),
        ("inputs", {"mel_bins": 72}),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value),
)
def test_a_model_that_cannot_be_built_is_refused_before_any_job(
    section: str, values: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=r"heads|patch|groups"):
        RunConfig.model_validate({section: values})


@pytest.mark.parametrize("name", ["caption_tokens", "subtitle_tokens"])
def test_texts_longer_than_the_position_table_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"inputs.{name} is 600, but model.text.positions"):
        RunConfig.model_validate({"inputs": {name: 600}})


def test_distances_that_the_buckets_cannot_hold_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"max_distance is 80, .* raise it above 80, or"):
        RunConfig.model_validate({"model": {"audio": {"max_distance": 80}}})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"loss": {"kind": "area"}},
            "needs two modalities beside text and inputs.missing drop; found video, audio, subtit",
        ),
        (
            {
                "loss": {"kind": "area"},
                "model": {"modalities": ["video", "audio"]},
                "inputs": {"missing": "mask"},
            },
            "found video, audio and mask; change these, or the kind",
        ),
        (
            {"model": {"modalities": ["subtitle"]}},
            "names neither; found subtitle; set loss.matching_on to all, or matching_weight to 0",
        ),
    ],
    ids=["three_modalities", "mask", "nothing_to_match"],
)
def test_a_loss_that_the_model_cannot_give_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RunConfig.model_validate(config)


@pytest.mark.parametrize(
    "loss", [{"matching_on": "all"}, {"matching_weight": 0}], ids=["all", "no_matching"]
)
def test_a_run_without_video_and_sound_says_how_it_matches(loss: dict[str, Any]) -> None:
    config = {"model": {"modalities": ["subtitle", "depth"]}, "loss": loss}
    assert len(RunConfig.model_validate(config).model.modalities) == 2


def test_what_a_run_does_not_use_need_not_fit() -> None:
    config = {"model": {"modalities": ["video"]}, "inputs": {"audio_frames": 1000}}
    assert RunConfig.model_validate(config).inputs.audio_frames == 1000


def test_the_defaults_are_the_paper_s_sizes() -> None:
    run = RunConfig()
    assert (run.model.embedding_width, run.inputs.train_frames) == (512, 8)


def test_a_cut_off_is_named_once() -> None:
    with pytest.raises(ValidationError, match=r"recall_at names a cut-off twice: 1, 1, 5; name it"):
        RunConfig.model_validate({"evaluation": {"recall_at": [1, 1, 5]}})


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        RunConfig.model_validate({"pretrain": {"steps": 1, "learning_rate": value}})


def test_every_setting_is_described() -> None:
    described = {
        name: field.description
        for section in (InputsConfig, LossConfig, OptimizerConfig, TrainingConfig)
        for name, field in section.model_fields.items()
    }
    assert [name for name, description in described.items() if not description] == []
