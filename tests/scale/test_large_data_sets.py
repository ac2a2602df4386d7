"""A data set with more chunks than one start should plan is made part by part."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gram.config import Config, merged
from tests.scale.paper_tree import make_paper_tree
from tests.workflow.paper_runs import planned

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
PART_CHUNKS = 3000
OF_A_CHUNK = ("probe_media", "extract_clips", "read_subtitles", "read_depth", "pack_shards")
INDEX = "results/shards/vast_150k/index.parquet"
MakeTree = Callable[[Path, int], tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="session")
def make_tree(copy_checkout: Callable[[Path], Path]) -> MakeTree:
    """Give a function that makes a tree whose pretraining set has so many chunks; its overlay."""

    def make(folder: Path, chunks: int) -> tuple[Path, dict[str, Any]]:
        overlay = {"datasets": {"vast_150k": {"chunks": chunks}}}
        config = Config.model_validate(merged(PAPER, overlay))
        return make_paper_tree(folder, copy_checkout, config), overlay

    return make


def pack(tree: Path, chunks: Iterable[int]) -> None:
    """Make the indexes of some chunks, empty."""
    for chunk in chunks:
        index = tree / f"results/shards/vast_150k/{chunk:04d}.parquet"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.touch()


def test_a_part_plans_its_own_chunks_alone(make_tree: MakeTree, tmp_path: Path) -> None:
    tree, overlay = make_tree(tmp_path, PART_CHUNKS + 2)
    jobs = planned(tree, ("vast_150k_part_2",), overlay=overlay)
    assert jobs == {**dict.fromkeys(OF_A_CHUNK, 2), "vast_150k_part_2": 1}


def test_the_last_batch_takes_the_chunks_of_the_others_as_they_are(
    make_tree: MakeTree, tmp_path: Path
) -> None:
    tree, overlay = make_tree(tmp_path, PART_CHUNKS + 2)
    pack(tree, range(PART_CHUNKS))
    last = ("--batch", "index_shards=1501/1501")  # two chunks each
    jobs = planned(tree, (INDEX,), *last, overlay=overlay)
    assert jobs == {**dict.fromkeys(OF_A_CHUNK, 2), "index_shards": 1}


def test_the_last_batch_misses_no_chunk(make_tree: MakeTree, tmp_path: Path) -> None:
    tree, overlay = make_tree(tmp_path, PART_CHUNKS + 2)
    pack(tree, range(PART_CHUNKS - 1))
    last = ("--batch", "index_shards=1501/1501")
    with pytest.raises(AssertionError, match="not all previous batches have been completed"):
        planned(tree, (INDEX,), *last, overlay=overlay)


@pytest.mark.parametrize("name", ["vast_150k_part_1", "msrvtt_part_1"])
def test_a_data_set_of_few_chunks_has_no_parts(
    name: str, make_tree: MakeTree, tmp_path: Path
) -> None:
    tree, overlay = make_tree(tmp_path, 2)
    with pytest.raises(AssertionError, match="MissingRuleException"):
        planned(tree, (name,), overlay=overlay)


@pytest.mark.slow
def test_a_part_of_27000_chunks_is_planned(make_tree: MakeTree, tmp_path: Path) -> None:
    tree, overlay = make_tree(tmp_path, 27_000)
    jobs = planned(tree, ("vast_150k_part_9",), overlay=overlay)
    assert jobs == {**dict.fromkeys(OF_A_CHUNK, PART_CHUNKS), "vast_150k_part_9": 1}


@pytest.mark.slow
def test_the_index_of_27000_chunks_is_planned(make_tree: MakeTree, tmp_path: Path) -> None:
    tree, overlay = make_tree(tmp_path, 27_000)
    pack(tree, sorted(range(27_000), key=lambda chunk: f"{chunk:04d}")[:24_000])
    jobs = planned(tree, (INDEX,), "--batch", "index_shards=9/9", overlay=overlay)
    assert jobs == {**dict.fromkeys(OF_A_CHUNK, PART_CHUNKS), "index_shards": 1}
