"""A private Slurm, and trees in which the tiny workflow runs on it."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing_programs
from tests.slurm.workflows import SlurmTree
from tests.workflow.conftest import (  # noqa: F401 - fixtures
    finished_tree,
    new_tree,
    planned_rules,
    run_snakemake,
)

Done = subprocess.CompletedProcess[str]
READY = ("results/vocabulary/dots/pretrain.txt", "results/shards/own/index.parquet")
"""All that trainings and benchmarks read, but checkpoints."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give a private Slurm that runs as long as the tests."""
    if missing := missing_programs():
        pytest.skip(
            f"Slurm is not installed ({', '.join(missing)} not found); on Debian and Ubuntu: "
            "apt install slurm-wlm munge"
        )
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        private = Cluster(Path(folder).resolve())
        try:
            private.start()
            yield private
        finally:
            private.stop()


@pytest.fixture(scope="session")
def ready_tree(
    new_tree: Callable[[], Path],  # noqa: F811 - the fixture
    run_snakemake: Callable[..., Done],  # noqa: F811
) -> Path:
    """Give a tree whose clips are in shards, made without Slurm; tests do not change it."""
    tree = new_tree()
    done = run_snakemake(tree, *READY)
    assert done.returncode == 0, done.stdout
    return tree


@pytest.fixture(scope="session")
def slurm_tree(
    cluster: Cluster, ready_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], SlurmTree]:
    """Give a function that copies the ready tree, for a workflow on Slurm with a name."""

    def make(name: str) -> SlurmTree:
        folder = tmp_path_factory.mktemp(name) / "tree"
        return SlurmTree(shutil.copytree(ready_tree, folder, symlinks=True), cluster)

    return make
