"""`make why`: what a start would run, and why, in words that fit on a screen."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.workflow.conftest import TINY


def asked(tree: Path, overlay: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Ask in a tree, with changed settings."""
    (tree.parent / "changed.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    files = ("--configfile", TINY, str(tree.parent / "changed.yaml"))
    return subprocess.run(
        [sys.executable, "-m", "gram.why", "--profile", "profiles/demo", *files],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_changed_setting_is_named_with_both_values_and_what_it_runs(own_tree: Path) -> None:
    lines = asked(own_tree, {"runs": {"volume": {"loss": {"label_smoothing": 0.3}}}}).stdout
    said = [line.split(maxsplit=2) for line in lines.splitlines()]
    assert ["1", "pretrain_model", "params have changed since last execution"] in said
    assert ["1", "make_report", "input files updated by another job"] in said
    assert "loss.label_smoothing: 0.1 -> 0.3" in lines
    assert len(lines.splitlines()) < 24


def test_a_finished_workflow_has_nothing_to_do(own_tree: Path) -> None:
    done = asked(own_tree, {})
    assert done.stdout == "Nothing would run: all that was asked for is there, and is up to date.\n"


def test_what_snakemake_refuses_is_shown(own_tree: Path) -> None:
    done = asked(own_tree, {"runs": {"volume": {"los": {}}}})
    assert done.returncode == 1
    assert "los" in done.stdout
