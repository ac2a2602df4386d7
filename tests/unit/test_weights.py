"""Weight files of others: what is read, what is refused, and what is said of it."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gram.model import GramModel
from gram.types import ITEM_MODALITIES, Modality
from gram.upstream import Weights, released_name, to_released
from gram.weights import (
    load_encoder,
    load_released,
    read_released_settings,
    read_weights,
    write_released,
)

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES
TVA, TVAS, TVASD = (VIDEO, AUDIO), (VIDEO, AUDIO, SUBTITLE), ITEM_MODALITIES
REST = {
    "contra_head_va.bias": torch.ones(2),
    "vision_encoder.logit_scale": torch.tensor(4.6),
    "multimodal_encoder.bert.embeddings.position_ids": torch.arange(5).unsqueeze(0),
}

MakeModel = Callable[..., GramModel]


class Planted:
    """An object that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        """Take the path of the file."""
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        """Give the call that reading it makes."""
        return Path.touch, (self.path,)


def released(model: GramModel) -> Weights:
    return to_released(model.state_dict(), REST)


def write(content: object, folder: Path, name: str = "model_step_1.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "module"])
def test_a_wrapped_dictionary_is_unwrapped(wrapper: str, tmp_path: Path) -> None:
    path = write({wrapper: {"a": torch.ones(1)}, "cfg": {"layers": 2}}, tmp_path)
    assert list(read_weights(path)) == ["a"]


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert read_weights(tmp_path / "model.safetensors")["a"].tolist() == [1.0, 1.0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no weights at .*none\.pt; fetch the file"):
        read_weights(tmp_path / "none.pt")


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    path = write({"a": Planted(planted)}, tmp_path)
    with pytest.raises(ValueError, match=r"model_step_1\.pt is not read: .*would run code"):
        read_weights(path)
    assert not planted.exists()


def test_the_planted_code_would_run_where_it_is_not_refused(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    pickle.loads(pickle.dumps(Planted(planted)))  # noqa: S301 - our own, to see that it bites
    assert planted.exists()


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", bytes(100)], ids=repr)
def test_a_file_of_another_kind_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is (damaged or no weight file|not read)"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_is_named(share: float, make_model: MakeModel, tmp_path: Path) -> None:
    path = write(released(make_model(TVA)), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"model_step_1\.pt is (damaged|not read)"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [({"a": 1}, r"'a' \(1 in all\) is a int"), ([1, 2], "holds list"), ({}, "holds dict")],
    ids=["number", "list", "empty"],
)
def test_what_is_no_weight_is_named(content: object, found: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=found):
        read_weights(write(content, tmp_path))


# --- whole checkpoints ------------------------------------------------------------------------


@pytest.mark.parametrize("modalities", [TVA, TVAS, TVASD], ids=["tva", "tvas", "tvasd"])
def test_a_checkpoint_is_written_back_as_it_was(
    modalities: tuple[Modality, ...], make_model: MakeModel, tmp_path: Path
) -> None:
    before = released(make_model(TVASD, seed=1))
    model = make_model(modalities, seed=2)
    report = load_released(model, write(before, tmp_path))
    write_released(model, report, tmp_path / "back.pt")
    after = read_weights(tmp_path / "back.pt")
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


def test_the_weights_of_the_file_are_those_of_the_model(
    make_model: MakeModel, tmp_path: Path
) -> None:
    first, second = make_model(seed=1), make_model(seed=2)
    load_released(second, write(released(first), tmp_path))
    assert all(torch.equal(w, second.state_dict()[n]) for n, w in first.state_dict().items())


def test_the_prefix_of_data_parallel_training_is_taken_off(
    make_model: MakeModel, tmp_path: Path
) -> None:
    weights = {f"module.{name}": weight for name, weight in released(make_model(seed=1)).items()}
    assert load_released(make_model(), write(weights, tmp_path)).missing == ()


def test_what_a_file_lacks_is_named(make_model: MakeModel, tmp_path: Path) -> None:
    path = write(released(make_model(TVAS)), tmp_path)
    with pytest.raises(ValueError, match=r"lacks 1 weights of the model, projections\.depth\.w"):
        load_released(make_model(TVASD), path)


def test_what_a_file_may_lack_stays_fresh(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(TVASD)
    before = model.projections["depth"].weight.clone()
    path = write(released(make_model(TVAS, seed=1)), tmp_path)
    report = load_released(model, path, may_lack=("projections.depth.",))
    assert report.missing == ("projections.depth.weight",)
    assert torch.equal(model.projections["depth"].weight, before)


def test_another_architecture_is_named(make_model: MakeModel, tmp_path: Path) -> None:
    weights = released(make_model())
    weights["itm_head.linear1.weight"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match=r"'itm_head\.linear1\.weight' has shape \(3, 3\), the m"):
        load_released(make_model(), write(weights, tmp_path))


def test_nothing_is_loaded_from_a_file_that_is_refused(
    make_model: MakeModel, tmp_path: Path
) -> None:
    weights, model = released(make_model(seed=1)), make_model()
    weights["itm_head.linear1.weight"] = torch.zeros(3, 3)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(ValueError, match="another architecture"):
        load_released(model, write(weights, tmp_path))
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_a_report_says_what_went_where(make_model: MakeModel, tmp_path: Path) -> None:
    weights = released(make_model(TVASD))
    weights["vision_frame_embedding"] = weights["vision_frame_embedding"].repeat(1, 2, 1)
    said = str(load_released(make_model(TVA), write(weights, tmp_path)))
    assert "1 brought to another length: condition.vision.unit" in said
    assert "without a place in this model: contra_head_d.linear.weight" in said


# --- files of the encoders --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "theirs", "ours"),
    [
        ("eva", "vision_encoder.", "vision.tower."),
        ("beats", "audio_encoder.", "audio.beats."),
        ("bert", "multimodal_encoder.", "text.bert."),
    ],
)
def test_an_encoder_is_loaded_alone(
    encoder: str, theirs: str, ours: str, make_model: MakeModel, tmp_path: Path
) -> None:
    first, second, before = make_model(seed=1), make_model(seed=2), make_model(seed=2)
    own = {
        released_name(name).removeprefix(theirs): weight
        for name, weight in first.state_dict().items()
        if name.startswith(ours)
    }
    load_encoder(second, write({"model": own}, tmp_path), encoder=encoder)  # type: ignore[arg-type]
    for name, weight in second.state_dict().items():
        source = first if name.startswith(ours) else before
        assert torch.equal(weight, source.state_dict()[name]), name


def test_an_old_bert_without_cross_attention_is_loaded(
    make_model: MakeModel, tmp_path: Path
) -> None:
    first, second = make_model(seed=1), make_model(seed=2)
    own = {
        name.removeprefix("text.bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in first.state_dict().items()
        if name.startswith("text.bert.") and ".crossattention." not in name
    }
    report = load_encoder(second, write(own, tmp_path), encoder="bert")
    name = "text.bert.embeddings.LayerNorm.weight"
    assert torch.equal(second.state_dict()[name], first.state_dict()[name])
    assert any(".crossattention." in name for name in report.missing)


def test_an_encoder_file_that_lacks_a_block_is_refused(
    make_model: MakeModel, tmp_path: Path
) -> None:
    own = {
        name.removeprefix("vision.tower."): weight
        for name, weight in make_model().state_dict().items()
        if name.startswith("vision.tower.") and ".blocks.0.norm1" not in name
    }
    weights = {f"visual.{name}": weight for name, weight in own.items()}
    with pytest.raises(ValueError, match=r"lacks 2 weights .*vision\.tower\.blocks\.0\.norm1"):
        load_encoder(make_model(), write(weights, tmp_path), encoder="eva")


# --- settings beside a checkpoint -------------------------------------------------------------


def test_the_settings_beside_a_checkpoint_are_read(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    content = {"model_cfg": {"audio_melbins": 64}, "run_cfg": {}}
    (tmp_path / "log/hps.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_released_settings(tmp_path / "ckpt/model_step_1.pt") == {"audio_melbins": 64}


def test_a_checkpoint_alone_has_no_settings(tmp_path: Path) -> None:
    assert read_released_settings(tmp_path / "ckpt/model_step_1.pt") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_cfg": 3}'])
def test_settings_of_another_form_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log/hps.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"hps\.json is not the settings of a released checkpoint"):
        read_released_settings(tmp_path / "ckpt/model_step_1.pt")


# --- another resolution -----------------------------------------------------------------------


def resized(table: torch.Tensor, tokens: int, mode: str) -> torch.Tensor:
    """Resize a table of positions by torch's own words, the class token apart."""
    old, new = (round((count - 1) ** 0.5) for count in (table.shape[1], tokens))
    grid = table[0, 1:].reshape(old, old, -1).permute(2, 0, 1).unsqueeze(0)
    larger = torch.nn.functional.interpolate(grid, size=(new, new), mode=mode, align_corners=False)
    return torch.cat([table[0, :1], larger[0].permute(1, 2, 0).reshape(new * new, -1)]).unsqueeze(0)


def test_a_whole_checkpoint_s_positions_are_resized_bilinearly(
    make_model: MakeModel, tmp_path: Path
) -> None:
    given, own = make_model(TVA), make_model(TVA)
    tokens = own.vision.tower.pos_embed.shape[1]
    weights = released(given)
    small = torch.randn(1, 1 + (round((tokens - 1) ** 0.5) + 3) ** 2, own.vision.tower.embed_dim)
    weights["vision_encoder.visual.pos_embed"] = small
    report = load_released(own, write(weights, tmp_path))
    assert report.resized == ("vision.tower.pos_embed",)
    expected = {mode: resized(small, tokens, mode) for mode in ("bilinear", "bicubic")}
    assert not torch.allclose(expected["bilinear"], expected["bicubic"], atol=1e-3)
    torch.testing.assert_close(own.vision.tower.pos_embed.detach(), expected["bilinear"])


def test_an_encoder_file_s_positions_are_resized_bicubically(
    make_model: MakeModel, tmp_path: Path
) -> None:
    given, own = make_model(TVA), make_model(TVA)
    tokens = own.vision.tower.pos_embed.shape[1]
    start = "vision_encoder."
    weights = {
        name.removeprefix(start): one
        for name, one in released(given).items()
        if name.startswith(start)
    }
    small = torch.randn(1, 1 + (round((tokens - 1) ** 0.5) + 3) ** 2, own.vision.tower.embed_dim)
    weights["visual.pos_embed"] = small
    load_encoder(own, write(weights, tmp_path), encoder="eva")
    torch.testing.assert_close(
        own.vision.tower.pos_embed.detach(), resized(small, tokens, "bicubic")
    )


# --- weights of another kind ------------------------------------------------------------------

POSITIONS = "vision_encoder.visual.pos_embed"


@pytest.mark.parametrize(
    ("name", "weight", "message"),
    [
        (POSITIONS, torch.ones(3), "another architecture"),
        (POSITIONS, torch.ones(1, 3, 4), "another architecture.*no class token and a square grid"),
        ("vision_frame_embedding", torch.ones(2, 3), "another architecture"),
        ("contra_temp", torch.tensor(float("nan")), "no finite numbers"),
        ("contra_temp", torch.tensor(1), "is torch.int64"),
        ("contra_temp", torch.tensor(1j), "is a torch.complex64"),
    ],
    ids=["one axis", "no grid", "two axes", "no number", "whole number", "complex"],
)
def test_a_weight_of_another_kind_is_named_with_its_file(
    make_model: MakeModel, tmp_path: Path, name: str, weight: torch.Tensor, message: str
) -> None:
    model = make_model(TVA)
    path = write({**released(model), name: weight}, tmp_path)
    with pytest.raises(ValueError, match=rf"model_step_1\.pt.*{message}"):
        load_released(model, path)


def test_a_flipped_bit_is_noticed(make_model: MakeModel, tmp_path: Path) -> None:
    path = write(released(make_model(TVA)), tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"model_step_1\.pt is damaged.*checksum"):
        read_weights(path)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_of_torch_s_old_form_is_named_or_read(seed: int, tmp_path: Path) -> None:
    """That form has no checksums: damage in the numbers alone cannot be seen."""
    path = tmp_path / "old.pt"
    weights = {f"layer.{n}.weight": torch.full((2, 3), float(n)) for n in range(6)}
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    content, draw = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for _ in range(3):
        content[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
    path.write_bytes(bytes(content))
    try:
        read = read_weights(path)
    except ValueError as error:
        assert "old.pt" in str(error)  # noqa: PT017 - or no error at all
    else:
        assert len(read) == len(weights)
