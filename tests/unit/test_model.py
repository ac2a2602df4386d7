from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.config import InputsConfig, ModelConfig
from gram.model import Encodings, GramModel
from gram.types import ITEM_MODALITIES, Batch, Modality, Tokens

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES

MakeModel = Callable[..., GramModel]
MakeBatch = Callable[..., Batch]

SUBSETS = pytest.mark.parametrize(
    "modalities",
    [(VIDEO,), (AUDIO,), (SUBTITLE,), (DEPTH,), (VIDEO, AUDIO), ITEM_MODALITIES],
    ids="_".join,
)


@torch.no_grad()
def encode(model: GramModel, batch: Batch) -> Encodings:
    return model.encode(batch)


def condition(encodings: Encodings) -> tuple[Tensor, Tensor]:
    return encodings.condition_of(tuple(encodings.condition))


# --- embeddings -------------------------------------------------------------------------------


@SUBSETS
def test_a_batch_is_embedded_by_the_modalities_of_the_model(
    make_model: MakeModel, make_batch: MakeBatch, modalities: Sequence[Modality]
) -> None:
    vectors = encode(make_model(modalities), make_batch(modalities=modalities)).embeddings.vectors
    assert list(vectors) == [Modality.TEXT, *modalities]


@pytest.mark.parametrize("name", [Modality.TEXT, *ITEM_MODALITIES])
def test_embeddings_have_length_one(
    make_model: MakeModel, make_batch: MakeBatch, name: Modality
) -> None:
    vectors_bd = encode(make_model(), make_batch(3)).embeddings.vectors[name]
    torch.testing.assert_close(vectors_bd.norm(dim=-1), torch.ones(3))


@pytest.mark.parametrize("name", [Modality.TEXT, *ITEM_MODALITIES])
def test_different_clips_have_different_embeddings(
    make_model: MakeModel, make_batch: MakeBatch, name: Modality
) -> None:
    vectors_bd = encode(make_model(), make_batch(2)).embeddings.vectors[name]
    assert not torch.allclose(vectors_bd[0], vectors_bd[1], atol=1e-3)


def rows(batch: Batch, chosen: slice) -> Batch:
    """Take some rows of a batch of all modalities."""
    texts = {
        name: Tokens(ids_bl=value.ids_bl[chosen], mask_bl=value.mask_bl[chosen])
        for name, value in (("caption", batch.caption), ("subtitle", batch.subtitle))
        if value is not None
    }
    tensors = {
        name: getattr(batch, name)[chosen] for name in ("video_bfchw", "depth_bfchw", "audio_bctm")
    }
    present = {name: value[chosen] for name, value in batch.present.items()}
    changes: dict[str, Any] = {**texts, **tensors}
    return replace(batch, clip_ids=batch.clip_ids[chosen], present=present, **changes)


@pytest.mark.parametrize("name", [Modality.TEXT, *ITEM_MODALITIES])
def test_a_clip_does_not_depend_on_the_others_of_its_batch(
    make_model: MakeModel, make_batch: MakeBatch, name: Modality
) -> None:
    model, batch = make_model(), make_batch(3)
    alone = encode(model, rows(batch, slice(1, 2))).embeddings.vectors[name][0]
    together = encode(model, batch).embeddings.vectors[name][1]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_captions_are_embedded_alike_alone_and_in_a_batch(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model, batch = make_model(), make_batch()
    assert batch.caption is not None
    assert torch.equal(
        model.embed_texts(batch.caption), model.encode(batch).embeddings.vectors[Modality.TEXT]
    )


def test_a_caption_and_the_same_subtitle_have_their_own_projections(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    batch = make_batch()
    vectors = encode(make_model(), replace(batch, subtitle=batch.caption)).embeddings.vectors
    assert not torch.allclose(vectors[Modality.TEXT], vectors[SUBTITLE], atol=1e-3)


def test_frames_and_the_same_depth_maps_have_their_own_projections(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    batch = make_batch()
    assert batch.depth_bfchw is not None
    gray = replace(batch, video_bfchw=batch.depth_bfchw.repeat(1, 1, 3, 1, 1))
    vectors = encode(make_model(), gray).embeddings.vectors
    assert not torch.allclose(vectors[VIDEO], vectors[DEPTH], atol=1e-3)


def test_presence_is_passed_on(make_model: MakeModel, make_batch: MakeBatch) -> None:
    batch = make_batch(present={AUDIO: [True, False, True]})
    assert encode(make_model(), batch).embeddings.present[AUDIO].tolist() == [True, False, True]


def test_any_number_of_frames_can_be_embedded(make_model: MakeModel, make_batch: MakeBatch) -> None:
    encodings = encode(make_model(), make_batch(frames=5))
    assert torch.isfinite(condition(encodings)[0]).all()


@pytest.mark.parametrize("name", ITEM_MODALITIES)
def test_an_input_that_the_model_needs_is_named(
    make_model: MakeModel, make_batch: MakeBatch, name: Modality
) -> None:
    others = tuple(other for other in ITEM_MODALITIES if other != name)
    with pytest.raises(ValueError, match=f"the batch has no {name} input, which this model needs"):
        make_model().encode(make_batch(modalities=others))


def test_a_batch_without_captions_is_refused(make_model: MakeModel, make_batch: MakeBatch) -> None:
    with pytest.raises(ValueError, match="the batch has no text input"):
        make_model().encode(replace(make_batch(), caption=None))


@pytest.mark.parametrize(
    ("modalities", "absent"),
    [((VIDEO,), ["audio"]), ((AUDIO,), ["vision"]), ((SUBTITLE,), ["vision", "audio"])],
    ids=["video", "audio", "subtitle"],
)
def test_encoders_that_no_modality_needs_are_not_built(
    make_model: MakeModel, modalities: Sequence[Modality], absent: list[str]
) -> None:
    parts = {name.split(".")[0] for name in make_model(modalities).state_dict()}
    assert not parts & set(absent)


# --- matching ---------------------------------------------------------------------------------


def match(model: GramModel, encodings: Encodings) -> Tensor:
    condition_bqd, mask_bq = condition(encodings)
    with torch.no_grad():
        return model.match(encodings.captions, condition_bqd, condition_mask_bq=mask_bq)


def test_the_matching_head_gives_two_logits_a_pair(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model = make_model()
    assert match(model, encode(model, make_batch(3))).shape == (3, 2)


def test_the_condition_holds_all_tokens_of_all_modalities(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    video = depth = 2 * (1 + 4)  # frames, each with a class token and four patches
    audio, subtitle = 2 * 2, 9  # slices with two patches; word pieces
    condition_bqd, mask_bq = condition(encode(make_model(), make_batch(3)))
    assert condition_bqd.shape[1] == video + audio + subtitle + depth
    assert mask_bq.shape == condition_bqd.shape[:2]


def test_the_same_frames_and_depth_maps_have_the_same_condition(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    batch = make_batch()
    assert batch.depth_bfchw is not None
    same = replace(batch, video_bfchw=batch.depth_bfchw.expand(-1, -1, 3, -1, -1))
    encodings = encode(make_model(), same)
    assert torch.equal(encodings.condition[VIDEO], encodings.condition[DEPTH])


def test_the_tokens_of_some_modalities_can_be_taken(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    encodings = encode(make_model(), make_batch(3, present={AUDIO: [True, False, True]}))
    video, audio = (encodings.condition[name].shape[1] for name in (VIDEO, AUDIO))
    tokens_bqd, mask_bq = encodings.condition_of((VIDEO, AUDIO))
    assert torch.equal(tokens_bqd, condition(encodings)[0][:, : video + audio])
    assert mask_bq.sum(dim=1).tolist() == [video + audio, video, video + audio]


def test_tokens_stand_in_the_order_of_the_model(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    encodings = encode(make_model(), make_batch(3))
    one, other = (
        encodings.condition_of((DEPTH, SUBTITLE)),
        encodings.condition_of((SUBTITLE, DEPTH)),
    )
    assert torch.equal(one[0], other[0])


def test_tokens_of_modalities_that_are_not_there_are_asked_for_in_vain(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    encodings = encode(make_model((SUBTITLE,)), make_batch(3))
    with pytest.raises(ValueError, match="tokens of video or audio; this model has those of subti"):
        encodings.condition_of((VIDEO, AUDIO))


def test_matching_does_not_read_a_modality_that_is_missing(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model = make_model()
    batch = make_batch(present={AUDIO: [True, False, True]})
    assert batch.audio_bctm is not None
    other = replace(batch, audio_bctm=batch.audio_bctm + 1)
    before, after = (match(model, encode(model, one)) for one in (batch, other))
    torch.testing.assert_close(after[1], before[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ITEM_MODALITIES)
def test_matching_reads_each_modality(
    make_model: MakeModel, make_batch: MakeBatch, name: Modality
) -> None:
    model = make_model()
    there, absent = (
        match(model, encode(model, make_batch(1, present={name: [is_there]})))
        for is_there in (True, False)
    )
    assert not torch.allclose(there, absent, atol=1e-5)


# --- building ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights(make_model: MakeModel) -> None:
    first, again = make_model(seed=4).state_dict(), make_model(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_order_in_which_modalities_are_named_gives_the_same_weights(
    make_model: MakeModel,
) -> None:
    first, turned = make_model((VIDEO, AUDIO)).state_dict(), make_model((AUDIO, VIDEO)).state_dict()
    assert all(torch.equal(first[name], turned[name]) for name in first)


@pytest.mark.parametrize("is_asked_for", [False, True], ids=["kept", "computed again"])
def test_activations_are_computed_again_when_asked_for(
    make_model: MakeModel, is_asked_for: bool
) -> None:
    model = make_model()
    if is_asked_for:
        model.checkpoint_activations()
    assert model.audio is not None
    assert model.vision is not None
    found = [
        model.audio.beats.encoder.is_checkpointed,
        model.text.bert.is_activation_checkpointing,
        model.vision.tower.grad_checkpointing,
    ]
    assert found == [is_asked_for] * 3


def test_projections_have_no_bias(make_model: MakeModel) -> None:
    names = [name for name in make_model().state_dict() if name.startswith("projections.")]
    assert sorted(names) == sorted(
        f"projections.{name}.weight" for name in (Modality.TEXT, *ITEM_MODALITIES)
    )


def test_the_temperature_is_learned(
    make_model_config: Callable[..., ModelConfig], inputs: InputsConfig
) -> None:
    model = GramModel(make_model_config(), inputs, pieces=("[PAD]",) * 30)
    assert model.temperature.item() == pytest.approx(0.07)
    assert model.temperature.requires_grad
