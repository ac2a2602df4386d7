"""Subtitles that were heard and depth that was estimated, by tiny models in the real format."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gram.config import merged
from tests.tiny_models import save_tiny_depth, save_tiny_whisper

INDEX = "results/shards/own/index.parquet"
PACKING = {"pack_shards": 2, "index_shards": 1}
PERCEIVED: dict[str, Any] = {
    "subtitles": {
        "source": "speech",
        "speech": {"model": "models/whisper", "keep_annotated": False},
    },
    "depth": {"source": "estimate", "estimate": {"model": "models/depth"}},
}

Planned = Callable[..., dict[str, int]]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def tree(new_tree: Callable[[], Path], run_snakemake: Run) -> Path:
    """Give a tree in which the shards of one data set were made with both models."""
    tree = new_tree()
    save_tiny_whisper(tree / "models/whisper")
    save_tiny_depth(tree / "models/depth")
    done = run_snakemake(tree, INDEX, overlay=PERCEIVED)
    assert done.returncode == 0, done.stdout
    return tree


@pytest.fixture(scope="module")
def rows(tree: Path) -> pd.DataFrame:
    return pd.read_parquet(tree / INDEX)


def planned_with(tree: Path, planned_rules: Planned, **changes: Any) -> dict[str, int]:  # noqa: ANN401
    return planned_rules(tree, INDEX, overlay=merged(PERCEIVED, changes))


def test_subtitles_are_those_that_were_heard(rows: pd.DataFrame) -> None:
    assert set(rows["subtitle_source"]) == {"speech"}
    assert {word for text in rows["subtitle"] for word in text.split()} <= {"low", "high"}


def test_the_index_says_language_and_confidence(rows: pd.DataFrame) -> None:
    assert set(rows["subtitle_language"]) <= {"en", "de"}
    assert rows["subtitle_mean_log_probability"].lt(0).all()
    assert rows["subtitle_no_speech_probability"].between(0, 1).all()


def test_every_clip_has_a_depth_map_a_frame(rows: pd.DataFrame) -> None:
    assert rows["has_depth"].all()
    assert rows["depths_sizes"].map(len).tolist() == rows["jpgs_sizes"].map(len).tolist()


def test_the_record_of_a_clip_names_both_models(tree: Path) -> None:
    with tarfile.open(tree / "results/shards/own/0000-000.tar") as tar:
        name = next(name for name in tar.getnames() if name.endswith(".json"))
        record = json.load(tar.extractfile(name))  # type: ignore[arg-type]
    assert record["subtitle_origin"]["model"].startswith("whisper@sha256:")
    assert record["depth_origin"].startswith("depth@sha256:")
    assert record["depth_range"][0] < record["depth_range"][1]


def test_a_second_start_does_nothing(tree: Path, planned_rules: Planned) -> None:
    assert planned_with(tree, planned_rules) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"subtitles": {"speech": {"windows": 3}}}, {"recognize_speech": 2, **PACKING}),
        ({"depth": {"estimate": {"frames": 3}}}, {"estimate_depth": 2, **PACKING}),
        ({"subtitles": {"source": "annotations"}}, {"read_subtitles": 2, **PACKING}),
        ({"depth": {"source": "files"}}, {"read_depth": 2, **PACKING}),
    ],
    ids=["recogniser", "depth model", "annotations instead", "files instead"],
)
def test_another_way_to_perceive_reruns_itself_and_packing(
    changes: dict[str, Any], expected: dict[str, int], tree: Path, planned_rules: Planned
) -> None:
    assert planned_with(tree, planned_rules, **changes) == expected


def test_a_changed_model_file_reruns_what_reads_it(tree: Path, planned_rules: Planned) -> None:
    weights = tree / "models/whisper/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content + b" ")
    try:
        assert planned_with(tree, planned_rules) == {"recognize_speech": 2, **PACKING}
    finally:
        weights.write_bytes(content)  # by its digest, Snakemake takes it for unchanged


def test_what_is_off_adds_no_job(tree: Path, planned_rules: Planned) -> None:
    off = {"subtitles": {"source": "none"}, "depth": {"source": "none"}}
    bare = {"defaults": {"model": {"modalities": ["video", "audio"]}}}
    unscored = {"runs": {"cosine": {"evaluation": {"scores": ["cosine_mean"]}}}}
    overlay = merged(merged(off, bare), unscored)
    planned = planned_rules(tree, INDEX, "--forceall", overlay=overlay)
    assert sorted(planned) == [
        "extract_clips",
        "index_shards",
        "make_clips",
        "pack_shards",
        "probe_media",
    ]


def test_a_model_folder_that_is_not_there_ends_the_workflow_before_any_job(
    tree: Path, run_snakemake: Run
) -> None:
    overlay = merged(PERCEIVED, {"subtitles": {"speech": {"model": "./models/lost"}}})
    done = run_snakemake(tree, INDEX, overlay=overlay)
    assert done.returncode != 0
    assert "subtitles.speech.model is './models/lost', where no folder is; fetch" in done.stdout
