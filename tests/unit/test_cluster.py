"""Profiles as the doctor reads them, and what it says where there is no Slurm."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gram.cli import app
from gram.cluster import examine_cluster, read_profiles, wishes_of
from gram.cluster_probe import problem_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_rule_asks_for_what_its_first_try_gets() -> None:
    (wish,) = [one for one in wishes_of(read_profiles(["slurm"])) if one.rule == "pretrain_model"]
    assert (wish.minutes, wish.memory_mb, wish.gpus, wish.nodes) == (1440, 64000, 1, 1)


def test_a_later_profile_replaces_what_it_has() -> None:
    profile = read_profiles(["slurm", "slurm_demo"])
    (wish,) = [one for one in wishes_of(profile) if one.rule == "pretrain_model"]
    assert (wish.memory_mb, wish.gpus, wish.nodes, wish.has_tasks) == (4000, 0, 2, True)
    assert profile["executor"] == "slurm"


def test_gpus_are_those_of_one_node() -> None:
    (wish,) = wishes_of({"default-resources": {"gpu": 8, "nodes": 2}})
    assert wish.gpus == 4


def test_a_partition_of_a_rule_counts_more_than_the_default_one() -> None:
    profile = {
        "default-resources": {"slurm_partition": "batch"},
        "set-resources": {"pretrain_model": {"slurm_partition": "gpu"}, "make_clips": {}},
    }
    assert [wish.partition for wish in wishes_of(profile)] == ["batch", "gpu", "batch"]


def test_an_absent_profile_is_named_with_the_places_that_were_looked_at() -> None:
    result = CliRunner().invoke(app, ["doctor", "--profile", "slrum"])
    assert result.exit_code == 1
    assert "there is no profile slrum: neither slrum/config.yaml nor profiles/slrum" in str(
        result.exception
    )


def test_a_machine_without_slurm_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (finding,) = examine_cluster(["slurm"])
    assert "go to a node from which jobs are submitted" in finding.advice


def test_an_mlflow_server_that_is_not_there_is_a_problem() -> None:
    assert "refused" in problem_of("http://127.0.0.1:9")


@pytest.mark.parametrize("address", ["", "sqlite:///results/mlflow.db"])
def test_what_is_no_server_is_not_asked(address: str) -> None:
    assert problem_of(address) == ""
