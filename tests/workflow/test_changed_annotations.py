"""A change of annotations costs the chunks whose clips it touches, and no other: real runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gram.data.media_files import chunk_of
from gram.data.tables import read_rows

INDEX = "results/shards/own/index.parquet"
OF_A_CHUNK = ("probe/own/{}.parquet", "extracted/own/{}.parquet", "shards/own/{}-000.tar")
CHUNKS = ("0000", "0001")


@pytest.fixture(scope="module")
def indexed_tree(new_tree: Callable[[], Path], run_snakemake: Callable[..., Any]) -> Path:
    """Give a tree in which the clips of data/own stand in shards; tests do not change it."""
    tree = new_tree()
    done = run_snakemake(tree, INDEX)
    assert done.returncode == 0, done.stdout
    return tree


@pytest.fixture
def tree(indexed_tree: Path, tmp_path: Path) -> Path:
    """Give a copy of that tree, with the files' times, for one test to change."""
    return shutil.copytree(indexed_tree, tmp_path / "tree", symlinks=True)


def records_of(tree: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((tree / "data/own/annotations.json").read_text())
    return records


def write(tree: Path, records: list[dict[str, Any]], *, indent: int | None = None) -> None:
    (tree / "data/own/annotations.json").write_text(json.dumps(records, indent=indent))


def times(tree: Path) -> dict[str, int]:
    """Give the time of change of each file that a chunk's jobs made, and of the index."""
    names = [name.format(chunk) for name in OF_A_CHUNK for chunk in CHUNKS]
    return {name: (tree / "results" / name).stat().st_mtime_ns for name in names} | {
        "index": (tree / INDEX).stat().st_mtime_ns
    }


def made_anew(tree: Path, run_snakemake: Callable[..., Any]) -> set[str]:
    """Run the workflow up to the index; say which of its files were made anew."""
    before = times(tree)
    done = run_snakemake(tree, INDEX)
    assert done.returncode == 0, done.stdout
    return {name for name, time in times(tree).items() if time != before[name]}


def chunk_with(record: dict[str, Any]) -> str:
    return f"{chunk_of(record['video_id'], len(CHUNKS)):04d}"


def test_both_chunks_have_clips(tree: Path) -> None:
    assert {chunk_with(record) for record in records_of(tree)} == set(CHUNKS)


def test_a_corrected_caption_costs_the_chunk_of_its_clip(
    tree: Path, run_snakemake: Callable[..., Any]
) -> None:
    records = records_of(tree)
    records[0]["desc"] = ["a corrected caption"]
    write(tree, records)
    chunk = chunk_with(records[0])
    assert made_anew(tree, run_snakemake) == {name.format(chunk) for name in OF_A_CHUNK} | {"index"}
    captions = {row["clip_id"]: row["captions"] for row in read_rows(tree / INDEX)}
    assert captions[records[0]["video_id"]] == ["a corrected caption"]
    assert run_snakemake(tree, INDEX, "--dry-run").stdout.count("Nothing to be done") == 1


def test_an_annotation_file_that_says_the_same_costs_no_chunk(
    tree: Path, run_snakemake: Callable[..., Any]
) -> None:
    write(tree, records_of(tree), indent=2)
    assert made_anew(tree, run_snakemake) == set()
    assert run_snakemake(tree, INDEX, "--dry-run").stdout.count("Nothing to be done") == 1


def test_a_part_of_the_clips_that_is_lost_is_named(
    tree: Path, run_snakemake: Callable[..., Any]
) -> None:
    (tree / "results/clips/own/0001.parquet").unlink()
    done = run_snakemake(tree, INDEX)
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert (
        "results/clips/own/0001.parquet is not there; delete results/clips/own.parquet, which is "
        "made with it anew"
    ) in said
