"""The profiles that come with the project: what they hold, and that rules and plans agree."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = {
    name
    for path in (ROOT / "rules").glob("*.smk")
    for name in re.findall(r"^(?:rule|checkpoint) (\w+):", path.read_text(encoding="utf-8"), re.M)
}
LOCAL = {"all", "report", "figures", "fetch", "retry_fetch", "make_table", "make_report"}
LOCAL |= {name for name in RULES if name.startswith(("draw_", "find_"))}
SLURM_RESOURCES = {"nodes", "tasks", "mpi", "tasks_per_gpu", "slurm_partition", "slurm_extra"}
"""What Slurm's plugin reads of a job, beside what the rules have."""

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))


def profile(name: str) -> dict[str, Any]:
    """Read a profile."""
    content = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_the_profiles_are_these() -> None:
    assert PROFILES == ["default", "demo", "slurm", "slurm_demo"]


def test_the_rules_were_found() -> None:
    assert {"pretrain_model", "extract_clips", "make_table"} <= RULES


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_only_rules_that_exist(name: str) -> None:
    named = {
        rule for key in ("set-threads", "set-resources") for rule in profile(name).get(key, {})
    }
    assert named - RULES == set()


def test_the_default_profile_holds_triggers_and_nothing_else() -> None:
    assert list(profile("default")) == ["rerun-triggers"]


def test_a_script_s_file_time_is_the_only_trigger_left_out() -> None:
    every = {"code", "input", "mtime", "params", "software-env"}
    assert every - set(profile("default")["rerun-triggers"]) == {"code"}


@pytest.mark.parametrize("name", ["demo", "slurm", "slurm_demo"])
def test_no_other_profile_changes_the_triggers(name: str) -> None:
    assert "rerun-triggers" not in profile(name)


def test_slurm_is_found_from_the_top_folder() -> None:
    assert (ROOT / "slurm").is_symlink()
    assert (ROOT / "slurm").resolve() == (ROOT / "profiles/slurm").resolve()


def test_slurm_is_asked_by_squeue() -> None:
    assert profile("slurm")["slurm-status-command"] == "squeue"


def test_slurm_starts_cut_off_jobs_again() -> None:
    assert profile("slurm")["rerun-incomplete"] is True


@pytest.mark.parametrize("rule", sorted(RULES - LOCAL))
def test_every_job_on_slurm_has_memory_for_torch_and_more_with_each_try(rule: str) -> None:
    memory = re.fullmatch(r"(\d+) \* attempt", profile("slurm")["set-resources"][rule]["mem_mb"])
    assert memory is not None
    assert int(memory[1]) >= 1000


@pytest.mark.parametrize("name", ["slurm", "slurm_demo"])
def test_a_profile_for_slurm_names_only_resources_that_something_reads(name: str) -> None:
    named = {key for of_rule in profile(name)["set-resources"].values() for key in of_rule}
    of_rules = {
        key
        for path in (ROOT / "rules").glob("*.smk")
        for block in re.findall(r"resources:\n((?: {8}.*\n)+)", path.read_text(encoding="utf-8"))
        for key in re.findall(r"^ {8}(\w+)=", block, re.M)
    }
    assert named - of_rules - SLURM_RESOURCES == set()


@pytest.mark.parametrize(
    "rule",
    [
        *("pretrain_model", "finetune_model", "embed_benchmark", "match_pairs"),
        *("recognize_speech", "estimate_depth"),
    ],
)
def test_slurm_gives_a_device_to_what_needs_one(rule: str) -> None:
    assert profile("slurm")["set-resources"][rule]["gpu"] == 1


def test_slurm_plans_the_same_jobs(
    new_tree: Callable[[], Path], planned_rules: Callable[..., dict[str, int]]
) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the Slurm plugin is absent")
    tree = new_tree()
    assert planned_rules(tree, profile="slurm") == planned_rules(tree)


def test_slurm_runs_nothing_again_that_ran_here(
    finished_tree: Path, planned_rules: Callable[..., dict[str, int]]
) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the Slurm plugin is absent")
    assert planned_rules(finished_tree, profile="slurm") == {}
