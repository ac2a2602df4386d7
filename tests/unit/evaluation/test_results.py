import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gram.evaluation.results import BenchmarkScores, read_scores, write_scores
from gram.types import ITEM_MODALITIES


def test_scores_are_read_as_they_were_written(
    write_scores_of: Callable[..., Path], tmp_path: Path
) -> None:
    read = read_scores(write_scores_of("tva", recall=12.3456789))
    write_scores(read, tmp_path / "again.json")
    assert read_scores(tmp_path / "again.json") == read


def test_modalities_are_written_as_letters(write_scores_of: Callable[..., Path]) -> None:
    assert read_scores(write_scores_of("all", modalities=ITEM_MODALITIES)).letters == "TVASD"


def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"run": "tva"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"odd.json holds no scores .*delete it and score again"):
        read_scores(tmp_path / "odd.json")


def test_scores_say_how_they_came_about(write_scores_of: Callable[..., Path]) -> None:
    written = json.loads(write_scores_of("tva").read_text(encoding="utf-8"))
    assert list(written) == list(BenchmarkScores.model_fields)
    assert written["origin"] == {
        "lineage": ["volume_tva", "aligned"],
        "checkpoint": "results/pretrained/volume_tva/last.safetensors",
        "checkpoint_sha256": "a" * 64,
        "index_sha256": "b" * 64,
        "frames": 8,
        "missing": "drop",
    }
    assert len(written["clip_ids"]) == written["gallery"]
