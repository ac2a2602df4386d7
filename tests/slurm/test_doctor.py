"""`gram doctor --profile slurm` on a real cluster: what it finds, and what it advises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gram.cluster import examine_cluster
from gram.doctor import Finding
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).parents[2]
Advise = Callable[..., dict[str, str]]


@pytest.fixture
def findings(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Finding]]:
    """Give a function that holds our profile, with some sections changed, against the cluster."""
    for name, value in {**cluster.environment, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    (tmp_path / "changed").mkdir()
    monkeypatch.chdir(tmp_path)

    def examine(*, mlflow: str = "", **sections: dict[str, Any]) -> list[Finding]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
        changed = {name.replace("_", "-"): value for name, value in sections.items()}
        text = yaml.safe_dump({**profile, **changed})
        (tmp_path / "changed/config.yaml").write_text(text, encoding="utf-8")
        return list(examine_cluster(["changed"]))

    return examine


@pytest.fixture
def advice(findings: Callable[..., list[Finding]]) -> Advise:
    """Give a function that gives the advice alone, by what it is about."""

    def given(**changed: Any) -> dict[str, str]:  # noqa: ANN401 - sections of a profile
        return {one.what: one.advice for one in findings(**changed) if one.advice}

    return given


def test_the_profile_as_it_is_works(findings: Callable[..., list[Finding]], tmp_path: Path) -> None:
    found = {one.what: (one.found, one.advice) for one in findings()}
    assert found["partitions"] == ("batch, gpu, low, short; jobs that name none go to batch", "")
    assert found["a compute node"] == (f"runs our Python, and sees {tmp_path}", "")
    assert [advice for _, advice in found.values() if advice] == []
    assert [path.name for path in tmp_path.iterdir()] == ["changed"]


def test_what_a_cluster_has_not_is_said(advice: Advise) -> None:
    said = advice(
        default_resources={"slurm_partition": "batch", "slurm_account": "mine", "runtime": 60},
        set_resources={
            "make_clips": {"slurm_partition": "main"},
            "pretrain_model": {"runtime": 1440, "slurm_partition": "short"},
            "finetune_model": {"gpu": 16, "nodes": 2},
            "pack_shards": {"mem_mb": "900000 * attempt"},
        },
    )
    assert said == {
        "make_clips": (
            "there are batch, gpu, low, short; set slurm_partition of make_clips to one of them"
        ),
        "pretrain_model": (
            "runtime is 1440 min, and 30 are allowed; change that, or slurm_partition, of "
            "pretrain_model"
        ),
        "finetune_model": (
            "nodes is 2, without `mpi: srun` and `tasks: 2`; 8 GPUs a node are asked for, and "
            "there are 4; change that, or slurm_partition, of finetune_model"
        ),
        "pack_shards": (
            "mem_mb is 900000, and its nodes have 256000; change that, or slurm_partition, of "
            "pack_shards"
        ),
        "account": "no accounting answers here to check mine; leave slurm_account out",
    }


def test_an_mlflow_server_that_nodes_do_not_reach_is_told_of(advice: Advise) -> None:
    assert "refused" in advice(mlflow="http://127.0.0.1:9")["MLflow"]


def test_a_sqlite_file_is_advised_against(advice: Advise) -> None:
    assert "start `mlflow server` on a node" in advice(mlflow="sqlite:///mlflow.db")["MLflow"]
