"""Names of the released code's weights, and tables that are brought to other lengths."""

import pytest
import torch

from gram.upstream import (
    canonical_names,
    fit_tables,
    from_released,
    our_name,
    released_name,
    resize_positions,
    to_released,
)

PAIRS = [
    ("temperature", "contra_temp"),
    ("vision.tower.blocks.3.attn.q_bias", "vision_encoder.visual.blocks.3.attn.q_bias"),
    ("text.bert.embeddings.LayerNorm.bias", "multimodal_encoder.bert.embeddings.LayerNorm.bias"),
    ("projections.subtitle.weight", "contra_head_s.linear.weight"),
    ("condition.vision.unit", "vision_frame_embedding"),
    ("condition.subtitle.kind", "subtitle_type_embeddings"),
    ("condition.audio.project.1.weight", "hidden_trans_audio_multimodal.1.weight"),
    ("match_head.layernorm.bias", "itm_head.layernorm.bias"),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_weight_of_ours_has_a_name_there(ours: str, theirs: str) -> None:
    assert released_name(ours) == theirs


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_weight_of_theirs_has_a_name_here(ours: str, theirs: str) -> None:
    assert our_name(theirs) == ours


@pytest.mark.parametrize(
    "theirs",
    [
        "contra_head_vas.weight",
        "vision_encoder.logit_scale",
        "vision_encoder.text.ln_final.bias",
        "multimodal_encoder.cls.predictions.bias",
        "contra_temperature",
    ],
)
def test_what_has_no_place_here_has_no_name(theirs: str) -> None:
    assert our_name(theirs) is None


def test_a_name_that_nobody_has_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="no weight for 'nonsense'"):
        released_name("nonsense")


# --- bringing names to those of today ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("module.contra_temp", "contra_temp"),
        ("module.video_frame_embedding", "vision_frame_embedding"),
        ("evaclip_model.visual.pos_embed", "vision_encoder.visual.pos_embed"),
        ("clip_model.visual.pos_embed", "vision_encoder.visual.pos_embed"),
        ("contra_head_v.linear.weight", "contra_head_v.linear.weight"),
    ],
)
def test_old_names_become_those_of_today(name: str, canonical: str) -> None:
    assert list(canonical_names({name: torch.zeros(1)})) == [canonical]


def test_half_precision_becomes_single() -> None:
    assert canonical_names({"contra_temp": torch.zeros(1).half()})["contra_temp"].dtype == (
        torch.float32
    )


def test_whole_numbers_stay_whole() -> None:
    assert canonical_names({"ids": torch.arange(3)})["ids"].dtype == torch.int64


def test_two_weights_of_one_name_are_refused() -> None:
    weights = {"contra_temp": torch.zeros(1), "module.contra_temp": torch.zeros(1)}
    with pytest.raises(ValueError, match="two weights of the checkpoint become 'contra_temp'"):
        canonical_names(weights)


# --- there and back ---------------------------------------------------------------------------


def test_what_has_no_place_here_is_kept() -> None:
    released = {"contra_temp": torch.tensor(0.1), "contra_head_va.bias": torch.ones(2)}
    translated = from_released(released)
    assert (list(translated.ours), list(translated.rest)) == (
        ["temperature"],
        ["contra_head_va.bias"],
    )
    assert to_released(*translated) == released


def test_a_weight_that_stands_in_both_is_refused() -> None:
    with pytest.raises(ValueError, match="'contra_temp' is a weight of the model and of the rest"):
        to_released({"temperature": torch.zeros(1)}, {"contra_temp": torch.zeros(1)})


# --- tables -----------------------------------------------------------------------------------


def test_a_table_of_the_right_length_is_not_touched() -> None:
    table = torch.randn(1, 17, 3)
    assert resize_positions(table, 17, mode="bilinear") is table


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_flat_table_stays_flat(mode: str) -> None:
    resized = resize_positions(torch.ones(1, 10, 2), 26, mode=mode)  # type: ignore[arg-type]
    torch.testing.assert_close(resized, torch.ones(1, 26, 2))


def test_the_class_token_is_not_interpolated() -> None:
    table = torch.cat([torch.full((1, 1, 2), 7.0), torch.zeros(1, 9, 2)], dim=1)
    resized = resize_positions(table, 17, mode="bilinear")
    assert resized[0, 0].tolist() == [7.0, 7.0]
    assert resized[0, 1:].abs().max() == 0


@pytest.mark.parametrize("tokens", [16, 1, 0, 12])
def test_a_table_that_is_no_square_is_refused(tokens: int) -> None:
    with pytest.raises(ValueError, match=f"a table of {tokens} positions is no class token and a"):
        resize_positions(torch.zeros(1, 10, 2), tokens, mode="bilinear")


def test_vectors_of_units_take_the_nearest() -> None:
    name = "condition.vision.unit"
    given = {name: torch.arange(4.0).view(1, 4, 1)}
    fitted = fit_tables(given, {name: torch.zeros(1, 2, 1)}, positions="bilinear")
    assert fitted[name].flatten().tolist() == [0.0, 2.0]


def test_what_is_given_is_not_changed() -> None:
    name = "condition.audio.unit"
    given = {name: torch.arange(4.0).view(1, 4, 1)}
    fit_tables(given, {name: torch.zeros(1, 2, 1)}, positions="bilinear")
    assert given[name].shape == (1, 4, 1)
