"""The private Slurm is one: two nodes, with GPUs that are given out and taken back."""

import pytest

from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm


def test_a_job_runs_on_both_nodes(cluster: Cluster) -> None:
    assert set(cluster.run("srun", "--nodes=2", "printenv", "SLURMD_NODENAME").split()) == {
        "n1",
        "n2",
    }


def test_a_job_sees_the_gpus_that_it_asked_for(cluster: Cluster) -> None:
    assert cluster.run("srun", "--gpus=3", "printenv", "CUDA_VISIBLE_DEVICES") == "0,1,2"
