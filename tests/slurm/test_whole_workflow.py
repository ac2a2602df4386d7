"""The whole workflow by `snakemake --profile slurm`, from a fresh copy to the tables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.workflows import SlurmTree, Started

pytestmark = pytest.mark.slurm

CHUNKS = "generate_clips,probe_media,extract_clips,read_subtitles,read_depth,pack_shards"
CPUS_ONLY = {"gpu": 0, "mem_mb": 4000}
ONE_THREAD = (
    "extract_clips",
    "pretrain_model",
    "finetune_model",
    "embed_benchmark",
    "match_pairs",
    "score_retrieval",
)
TWO_NODES = {"processes": 2, "nodes": 2, "tasks": 2, "mpi": "srun"}
TABLES = ("csv", "md", "tex")


@pytest.fixture(scope="module")
def done(cluster: Cluster, new_tree: Callable[[], Path]) -> Started:
    """Give the ended workflow: chunks as job arrays, pretraining on two nodes."""
    tree = SlurmTree(new_tree(), cluster)
    tree.set_profile(
        slurm_array_jobs=CHUNKS,
        set_threads=dict.fromkeys(ONE_THREAD, 1),
        set_resources={
            "pretrain_model": {**CPUS_ONLY, **TWO_NODES},
            "finetune_model": CPUS_ONLY,
            "embed_benchmark": CPUS_ONLY,
            "match_pairs": CPUS_ONLY,
        },
    )
    started = tree.start()
    assert started.wait() == 0, started.text()
    return started


@pytest.mark.parametrize("kind", TABLES)
def test_the_tables_are_those_of_a_run_without_slurm(
    kind: str, done: Started, finished_tree: Path
) -> None:
    table = f"results/tables/demo.{kind}"
    assert (done.tree.folder / table).read_bytes() == (finished_tree / table).read_bytes()


def test_pretraining_was_on_two_nodes(done: Started) -> None:
    assert "2 processes on 2 nodes" in done.tree.log("pretrain_model/volume.log")


def test_chunks_were_tasks_of_job_arrays(done: Started) -> None:
    assert "Submitted array job with Snakemake IDs" in done.text()


def test_nothing_is_left_to_do(done: Started) -> None:
    asked = done.tree.start("--dry-run")
    assert asked.wait() == 0
    assert "Nothing to be done" in asked.text()
