from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
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
    assert torch.isfinite(encodings.condition_bqd).all()


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
    with torch.no_grad():
        return model.match(
            encodings.captions,
            encodings.condition_bqd,
            condition_mask_bq=encodings.condition_mask_bq,
        )


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
    encodings = encode(make_model(), make_batch(3))
    assert encodings.condition_bqd.shape[1] == video + audio + subtitle + depth
    assert encodings.condition_mask_bq.shape == encodings.condition_bqd.shape[:2]


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


# --- checkpoints ------------------------------------------------------------------------------


def save(model: GramModel, path: Path) -> Path:
    torch.save(model.checkpoint(), path)
    return path


@SUBSETS
def test_a_saved_model_embeds_as_before(
    make_model: MakeModel, make_batch: MakeBatch, tmp_path: Path, modalities: Sequence[Modality]
) -> None:
    model, batch = make_model(modalities), make_batch(modalities=modalities)
    loaded = GramModel.load(save(model, tmp_path / "last.pt"))
    before, after = (encode(one, batch).embeddings.vectors for one in (model, loaded))
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_loaded_model_knows_its_settings(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model((AUDIO, VIDEO))
    loaded = GramModel.load(save(model, tmp_path / "last.pt"))
    assert (loaded.model_config, loaded.inputs_config, loaded.pieces) == (
        model.model_config,
        model.inputs_config,
        model.pieces,
    )


def test_a_loaded_model_has_the_learned_temperature(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    with torch.no_grad():
        model.temperature.fill_(0.03)
    loaded = GramModel.load(save(model, tmp_path / "last.pt"))
    assert loaded.temperature.item() == pytest.approx(0.03)


def test_a_loaded_model_is_ready_to_evaluate(make_model: MakeModel, tmp_path: Path) -> None:
    assert not GramModel.load(save(make_model().train(), tmp_path / "last.pt")).training


def test_a_path_may_be_a_text(make_model: MakeModel, tmp_path: Path) -> None:
    path = save(make_model((SUBTITLE,)), tmp_path / "last.pt")
    assert GramModel.load(str(path)).modalities == (SUBTITLE,)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no checkpoint at .*nothing\.pt; train one, or give"):
        GramModel.load(tmp_path / "nothing.pt")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"model": {}, "config": {}}, "config, model"),
        ([1, 2], r"\[1, 2\]"),
        ({"state_dict": torch.zeros(1), 3: 4}, "3, state_dict"),
    ],
    ids=["a_key_missing", "a_list", "keys_of_several_kinds"],
)
def test_a_file_of_another_form_is_no_checkpoint(
    tmp_path: Path, content: object, found: str
) -> None:
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=f"no checkpoint of this project: .*{found}"):
        GramModel.load(tmp_path / "last.pt")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no zip archive"], ids=repr)
def test_a_file_that_torch_cannot_read_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.pt is no checkpoint of this project"):
        GramModel.load(tmp_path / "last.pt")


def test_a_cut_checkpoint_is_named(make_model: MakeModel, tmp_path: Path) -> None:
    path = save(make_model(), tmp_path / "last.pt")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"last\.pt is no checkpoint of this project"):
        GramModel.load(path)


def test_a_file_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 2), "config": {}, "pieces": []}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt is no checkpoint of this project"):
        GramModel.load(tmp_path / "last.pt")


def test_a_checkpoint_of_other_weights_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    checkpoint: dict[str, Any] = make_model().checkpoint()
    checkpoint["model"] = make_model((VIDEO,)).state_dict()
    torch.save(checkpoint, tmp_path / "last.pt")
    with pytest.raises((ValueError, RuntimeError), match=r"Missing key|no checkpoint of this"):
        GramModel.load(tmp_path / "last.pt")


# --- starting from another model --------------------------------------------------------------


def test_all_weights_are_taken_from_a_model_of_the_same_form(make_model: MakeModel) -> None:
    model, other = make_model(seed=1), make_model(seed=2)
    assert model.take_weights(other) == ()
    assert all(
        torch.equal(weight, other.state_dict()[name]) for name, weight in model.state_dict().items()
    )


def test_what_the_other_model_lacks_is_named_and_stays(make_model: MakeModel) -> None:
    model, before = make_model((VIDEO, AUDIO)), make_model((VIDEO, AUDIO)).state_dict()
    lacking = model.take_weights(make_model((VIDEO,), seed=2))
    assert "projections.audio.weight" in lacking
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in lacking)
    assert {name.split(".")[0] for name in lacking} == {"audio", "projections", "condition"}


def test_what_only_the_other_model_has_is_left(make_model: MakeModel) -> None:
    assert make_model((VIDEO,)).take_weights(make_model((VIDEO, AUDIO))) == ()


def test_weights_of_another_shape_are_named(
    make_model: MakeModel, make_model_config: Callable[..., ModelConfig], inputs: InputsConfig
) -> None:
    model, longer = make_model((AUDIO,)), inputs.model_copy(update={"mel_bins": 32})
    other = GramModel(make_model_config((AUDIO,)), longer, pieces=model.pieces)
    with pytest.raises(ValueError, match=r"audio\.\S+ has shape .* in the model to start from"):
        model.take_weights(other)


def test_other_word_pieces_are_no_start(
    make_model: MakeModel, make_model_config: Callable[..., ModelConfig], inputs: InputsConfig
) -> None:
    model = make_model((VIDEO,))
    other = GramModel(make_model_config((VIDEO,)), inputs, pieces=("[PAD]",) * len(model.pieces))
    with pytest.raises(ValueError, match="the models read different word pieces"):
        model.take_weights(other)


# --- building ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights(make_model: MakeModel) -> None:
    first, again = make_model(seed=4).state_dict(), make_model(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_order_in_which_modalities_are_named_gives_the_same_weights(
    make_model: MakeModel,
) -> None:
    first, turned = make_model((VIDEO, AUDIO)).state_dict(), make_model((AUDIO, VIDEO)).state_dict()
    assert all(torch.equal(first[name], turned[name]) for name in first)


def test_projections_have_no_bias(make_model: MakeModel) -> None:
    names = [name for name in make_model().state_dict() if name.startswith("projections.")]
    assert sorted(names) == sorted(
        f"projections.{name}.weight" for name in (Modality.TEXT, *ITEM_MODALITIES)
    )


def test_the_temperature_is_learned(
    make_model_config: Callable[..., ModelConfig], inputs: InputsConfig
) -> None:
    model = GramModel(make_model_config(), inputs, pieces=("[PAD]",) * 30, temperature=0.5)
    assert model.temperature.item() == 0.5
    assert model.temperature.requires_grad
