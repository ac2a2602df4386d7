"""The jobs of a chunk as one Slurm job: fewer jobs, the same shards."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.workflows import SlurmTree, Started

pytestmark = pytest.mark.slurm

OF_A_CHUNK = ("probe_media", "extract_clips", "read_subtitles", "read_depth", "pack_shards")
DATA_SETS = ("dots", "own")
TARGETS = tuple(f"results/shards/{name}/index.parquet" for name in DATA_SETS)
CHUNKS = 4
AROUND = 2 + 2 * len(DATA_SETS)
"""Jobs that are in no group: two that generate clips; the tables and the indexes."""


@pytest.fixture(scope="module")
def grouped(cluster: Cluster, new_tree: Callable[[], Path]) -> Started:
    """Give the ended workflow."""
    tree = SlurmTree(new_tree(), cluster)
    tree.set_profile(groups=dict.fromkeys(OF_A_CHUNK, "chunk"), set_threads={"extract_clips": 1})
    started = tree.start(*TARGETS)
    assert started.wait() == 0, started.text()
    return started


def test_a_chunk_is_one_job(grouped: Started) -> None:
    assert grouped.text().count("has been submitted with SLURM jobid") == AROUND + CHUNKS


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_shards_are_those_of_a_run_without_slurm(
    name: str, grouped: Started, finished_tree: Path
) -> None:
    for file in ("manifest.json", "0000-000.tar", "0001-000.tar", "index.parquet"):
        path = f"results/shards/{name}/{file}"
        assert (grouped.tree.folder / path).read_bytes() == (finished_tree / path).read_bytes()


def test_temporary_archives_are_gone(grouped: Started) -> None:
    results = grouped.tree.folder / "results"
    assert list((results / "extracted").rglob("*.parquet"))
    assert list((results / "extracted").rglob("*.tar")) == []


def test_nothing_is_left_to_do(grouped: Started) -> None:
    asked = grouped.tree.start(*TARGETS, "--dry-run")
    assert asked.wait() == 0
    assert "Nothing to be done" in asked.text()
