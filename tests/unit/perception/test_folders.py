from pathlib import Path

import pytest

from gram.perception.folders import model_files

SETTING = "subtitles.speech.model"


def test_the_files_of_a_folder_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", ".cache-of-the-hub"):
        (tmp_path / name).write_text("x")
    (tmp_path / "below").mkdir()
    listed = [Path(path).name for path in model_files(str(tmp_path), setting=SETTING)]
    assert listed == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["openai/whisper-small", "gpt2"])
def test_a_name_on_the_hub_has_no_files_here(name: str) -> None:
    assert model_files(name, setting=SETTING) == []


@pytest.mark.parametrize("path", ["./whisper", "/models/whisper", "a/b/whisper", "~/whisper"])
def test_a_folder_that_is_not_there_is_named_with_what_to_do(path: str) -> None:
    with pytest.raises(ValueError, match=rf"{SETTING} is '{path}'.*hf download") as error:
        model_files(path, setting=SETTING)
    assert "--local-dir" in str(error.value)
