"""`gram compare`: texts against media files, as a table or as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gram.cli import app
from gram.model import GramModel
from gram.types import Modality


@pytest.fixture
def options(shards: Path, make_model: Callable[..., GramModel], tmp_path: Path) -> list[str]:
    """Give a command with a model of three modalities, a text and two films."""
    model = tmp_path / "last.safetensors"
    make_model((Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE)).save(model)
    films = sorted(str(path) for path in (shards.parent / "media").glob("*.mp4"))[:2]
    return ["compare", "--model", str(model), "--text", "word1 [b]", *films]


def test_the_table_names_texts_files_and_scores(options: list[str]) -> None:
    done = CliRunner().invoke(app, options, env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    for word in ("word1 [b]", Path(options[-1]).name, "VA", "volume", "residual", "cosine audio"):
        assert word in done.output
    assert "cosine subtitle" not in done.output, "no file has one"


def test_json_holds_every_score_with_its_direction(options: list[str]) -> None:
    done = CliRunner().invoke(app, [*options, "--json", "--text", "word2"])
    found = json.loads(done.output)
    assert found["texts"] == ["word1 [b]", "word2"]
    assert found["columns"] == options[-2:]
    ends = {name: score["near_is"] for name, score in found["scores"].items()}
    assert ends == {
        "volume": "small",
        "residual": "small",
        "cosine video": "large",
        "cosine audio": "large",
        "cosine subtitle": "large",
    }
    assert found["scores"]["cosine subtitle"]["values"] == [[None, None]] * 2


def test_a_file_that_cannot_be_used_is_told_of_behind_the_others(options: list[str]) -> None:
    done = CliRunner().invoke(app, [*options, "absent.mp4", "--json"])
    assert done.exit_code == 1
    assert "absent.mp4: absent.mp4 is not there; give a media file" in done.stderr
    assert len(json.loads(done.stdout)["columns"]) == 2


def test_an_absent_checkpoint_is_named(options: list[str]) -> None:
    options[2] = "nowhere.safetensors"
    done = CliRunner().invoke(app, options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no checkpoint at nowhere.safetensors" in done.stderr
