import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from gram.perception.models import Source, identity, load
from tests.tiny_models import save_tiny_depth

BUILDERS = (AutoModelForDepthEstimation.from_pretrained, AutoImageProcessor.from_pretrained)


def source_of(model: Path | str) -> Source:
    return Source(str(model), "main", "depth.estimate.model")


@pytest.fixture
def copied(depth_anything: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(depth_anything, tmp_path / "copied"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_model_is_ready_to_evaluate(depth_anything: Path) -> None:
    model, _ = load(source_of(depth_anything), *BUILDERS, dtype=torch.float32)
    assert not model.training


@pytest.mark.usefixtures("offline")
def test_a_model_that_is_nowhere_is_named_with_what_to_fetch_and_where_to_put_it() -> None:
    with pytest.raises(ValueError, match="no such folder is here") as error:
        load(source_of("nobody/no-such-model"), *BUILDERS, dtype=torch.float32)
    assert "hf download nobody/no-such-model --revision main --local-dir models/no-such-model" in (
        str(error.value)
    )
    assert "set depth.estimate.model to models/no-such-model" in str(error.value)


def test_weights_that_torch_pickled_are_refused(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, copied / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"weights as \.safetensors") as error:
        load(source_of(copied), *BUILDERS, dtype=torch.float32)
    assert "pytorch_model.bin" in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_damaged_part_names_the_folder(copied: Path, name: str) -> None:
    (copied / name).write_bytes(b"{")
    with pytest.raises(ValueError, match=r"holds no model that can be read .*; it holds "):
        load(source_of(copied), *BUILDERS, dtype=torch.float32)


def test_code_that_comes_with_a_model_is_not_run(copied: Path) -> None:
    ran = copied / "ran"
    (copied / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = (copied / "config.json").read_text()
    auto = '{"auto_map": {"AutoModelForDepthEstimation": "evil.Evil"},'
    (copied / "config.json").write_text(config.replace("{", auto, 1))
    load(source_of(copied), *BUILDERS, dtype=torch.float32)
    assert not ran.exists()


def test_other_weights_have_another_name(depth_anything: Path, tmp_path: Path) -> None:
    other = save_tiny_depth(tmp_path / depth_anything.name, seed=1)
    names = {
        identity(source_of(folder), load(source_of(folder), BUILDERS[0], dtype=torch.float32)[0])
        for folder in (depth_anything, other)
    }
    assert len(names) == 2
    assert all(name.startswith(f"{depth_anything.name}@sha256:") for name in names)
