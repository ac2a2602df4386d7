"""Weight files of others become checkpoints of this project."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gram.config import EncoderWeights, ReleasedWeights
from gram.jobs import ImportSettings
from gram.model import GramModel
from gram.released import import_weights
from gram.types import ITEM_MODALITIES, Modality
from gram.upstream import to_released

MakeModel = Callable[..., GramModel]
VIDEO, AUDIO, SUBTITLE, _ = ITEM_MODALITIES


@pytest.fixture
def released(make_model: MakeModel, tmp_path: Path) -> tuple[GramModel, Path]:
    """Give a model and its folder in the released code's form."""
    model = make_model((VIDEO, AUDIO, SUBTITLE))
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "log").mkdir()
    torch.save(to_released(model.state_dict(), {}), tmp_path / "ckpt/model_step_1.pt")
    text = "".join(f"{piece}\n" for piece in model.pieces)
    (tmp_path / "vocab.txt").write_text(text, encoding="utf-8")
    return model, tmp_path


def settings_of(model: GramModel, folder: Path, **weights: tuple[str, ...]) -> ImportSettings:
    return ImportSettings(
        seed=1,
        model=model.model_config,
        inputs=model.inputs_config,
        weights=ReleasedWeights(
            kind="released",
            checkpoint=str(folder / "ckpt/model_step_1.pt"),
            vocabulary=str(folder / "vocab.txt"),
            **weights,
        ),
    )


def test_a_released_checkpoint_becomes_the_same_model(released: tuple[GramModel, Path]) -> None:
    model, folder = released
    import_weights(settings_of(model, folder), output=folder / "last.safetensors")
    imported = GramModel.load(folder / "last.safetensors")
    assert imported.pieces == model.pieces
    torch.testing.assert_close(dict(imported.state_dict()), dict(model.state_dict()))


def test_what_a_checkpoint_may_lack_starts_at_random_and_is_told(
    released: tuple[GramModel, Path], make_model: MakeModel
) -> None:
    model, folder = released
    wider = make_model(ITEM_MODALITIES)
    settings = settings_of(wider, folder, may_lack=("projections.depth.",))
    import_weights(settings, output=folder / "last.safetensors")
    described = json.loads((folder / "last.json").read_text(encoding="utf-8"))
    assert described["files"][0]["missing"] == ["projections.depth.weight"]
    imported = GramModel.load(folder / "last.safetensors").state_dict()
    own = model.state_dict()
    torch.testing.assert_close({name: imported[name] for name in own}, dict(own))


def test_other_inputs_than_those_it_was_trained_with_are_refused(
    released: tuple[GramModel, Path],
) -> None:
    model, folder = released
    bins = model.inputs_config.mel_bins
    (folder / "log/hps.json").write_text(
        json.dumps({"model_cfg": {"audio_melbins": 2 * bins}}), encoding="utf-8"
    )
    message = (
        f"audio_melbins {2 * bins} .*inputs.mel_bins {bins}; set inputs.mel_bins to {2 * bins}"
    )
    with pytest.raises(ValueError, match=message):
        import_weights(settings_of(model, folder), output=folder / "last.safetensors")
    assert not (folder / "last.safetensors").exists()


def encoder_files(model: GramModel, folder: Path) -> dict[str, str]:
    """Write the encoders' own files, as they are before any training of the whole."""
    whole, paths = to_released(model.state_dict(), {}), {}
    for part, start in (
        ("vision", "vision_encoder."),
        ("audio", "audio_encoder."),
        ("text", "multimodal_encoder."),
    ):
        weights = {
            name.removeprefix(start): one for name, one in whole.items() if name.startswith(start)
        }
        paths[part] = str(folder / f"{part}.pt")
        torch.save(weights, paths[part])
    return paths


def test_encoders_start_from_their_own_files_and_the_rest_at_random(
    released: tuple[GramModel, Path],
) -> None:
    model, folder = released
    settings = ImportSettings(
        seed=1,
        model=model.model_config,
        inputs=model.inputs_config,
        weights=EncoderWeights(
            kind="encoders",
            vocabulary=str(folder / "vocab.txt"),
            **encoder_files(model, folder),
        ),
    )
    import_weights(settings, output=folder / "last.safetensors")
    imported, own = GramModel.load(folder / "last.safetensors").state_dict(), model.state_dict()
    encoders = [name for name in own if name.startswith(("vision.tower", "audio.beats", "text."))]
    torch.testing.assert_close(
        {name: imported[name] for name in encoders}, {name: own[name] for name in encoders}
    )
    assert not torch.equal(imported["projections.text.weight"], own["projections.text.weight"])


def test_the_file_of_an_encoder_that_the_model_lacks_is_not_read(
    released: tuple[GramModel, Path], make_model: MakeModel
) -> None:
    model, folder = released
    sound = make_model((Modality.AUDIO,))
    files = {**encoder_files(model, folder), "vision": str(folder / "nowhere.pt")}
    settings = ImportSettings(
        seed=1,
        model=sound.model_config,
        inputs=sound.inputs_config,
        weights=EncoderWeights(kind="encoders", vocabulary=str(folder / "vocab.txt"), **files),
    )
    import_weights(settings, output=folder / "last.safetensors")
    described = json.loads((folder / "last.json").read_text(encoding="utf-8"))
    assert [Path(one["path"]).stem for one in described["files"]] == ["audio", "text"]
