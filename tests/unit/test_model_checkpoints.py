"""A model's checkpoint, and models that start from others."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gram.config import InputsConfig, ModelConfig
from gram.model import Encodings, GramModel
from gram.types import ITEM_MODALITIES, Batch, Modality

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


# --- checkpoints ------------------------------------------------------------------------------


def save(model: GramModel, path: Path) -> Path:
    model.save(path)
    return path


@SUBSETS
def test_a_saved_model_embeds_as_before(
    make_model: MakeModel, make_batch: MakeBatch, tmp_path: Path, modalities: Sequence[Modality]
) -> None:
    model, batch = make_model(modalities), make_batch(modalities=modalities)
    loaded = GramModel.load(save(model, tmp_path / "last.safetensors"))
    before, after = (encode(one, batch).embeddings.vectors for one in (model, loaded))
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_loaded_model_knows_its_settings(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model((AUDIO, VIDEO))
    loaded = GramModel.load(save(model, tmp_path / "last.safetensors"))
    assert (loaded.model_config, loaded.inputs_config, loaded.pieces) == (
        model.model_config,
        model.inputs_config,
        model.pieces,
    )


def test_a_loaded_model_has_the_learned_temperature(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    with torch.no_grad():
        model.temperature.fill_(0.03)
    loaded = GramModel.load(save(model, tmp_path / "last.safetensors"))
    assert loaded.temperature.item() == pytest.approx(0.03)


def test_a_loaded_model_is_ready_to_evaluate(make_model: MakeModel, tmp_path: Path) -> None:
    assert not GramModel.load(save(make_model().train(), tmp_path / "last.safetensors")).training


def test_a_path_may_be_a_text(make_model: MakeModel, tmp_path: Path) -> None:
    path = save(make_model((SUBTITLE,)), tmp_path / "last.safetensors")
    assert GramModel.load(str(path)).modalities == (SUBTITLE,)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no checkpoint at .*nothing\.safetensors; train one, or give"
    ):
        GramModel.load(tmp_path / "nothing.safetensors")


def test_a_file_without_our_settings_is_no_checkpoint(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "last.safetensors")
    with pytest.raises(ValueError, match=r"no checkpoint of this project: .*KeyError"):
        GramModel.load(tmp_path / "last.safetensors")


def test_the_same_model_gives_the_same_bytes(make_model: MakeModel, tmp_path: Path) -> None:
    first, again = (save(make_model(), tmp_path / name) for name in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no zip archive"], ids=repr)
def test_a_file_that_torch_cannot_read_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.safetensors is no checkpoint of this project"):
        GramModel.load(tmp_path / "last.safetensors")


def test_a_cut_checkpoint_is_named(make_model: MakeModel, tmp_path: Path) -> None:
    path = save(make_model(), tmp_path / "last.safetensors")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"last\.safetensors is no checkpoint of this project"):
        GramModel.load(path)


def test_a_file_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "last.safetensors")
    with pytest.raises(ValueError, match=r"last\.safetensors is no checkpoint of this project"):
        GramModel.load(tmp_path / "last.safetensors")


def test_a_checkpoint_of_other_weights_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    model.projections = make_model((VIDEO,)).projections
    with pytest.raises(ValueError, match=r"no checkpoint of this project: (?s:.*)Missing key"):
        GramModel.load(save(model, tmp_path / "last.safetensors"))


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
    model, config = make_model((AUDIO,)), make_model_config((AUDIO,))
    wider = config.model_copy(update={"audio": config.audio.model_copy(update={"mlp_width": 40})})
    other = GramModel(wider, inputs, pieces=model.pieces)
    with pytest.raises(ValueError, match=r"audio\.\S+ has shape .* in the model to start from"):
        model.take_weights(other)


def test_other_word_pieces_are_no_start(
    make_model: MakeModel, make_model_config: Callable[..., ModelConfig], inputs: InputsConfig
) -> None:
    model = make_model((VIDEO,))
    other = GramModel(make_model_config((VIDEO,)), inputs, pieces=("[PAD]",) * len(model.pieces))
    with pytest.raises(ValueError, match="the models read different word pieces"):
        model.take_weights(other)
