"""Snakemake in a tree of the paper's settings: finished without work, and asked what would run."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gram.config import Config, merged
from tests.planned import planned_jobs
from tests.scale.paper_tree import make_paper_tree
from tests.workflow.paper_cases import PAPER, State

TOUCH = (
    "import sys; from snakemake.executors.touch import Executor; Executor.SLEEPING_TIME = 0; "
    "from snakemake.cli import main; main(sys.argv[1:])"
)
"""Snakemake, which waits 0.1 s before each job's files are touched, without that wait."""


def finish(folder: Path, copy_checkout: Callable[[Path], Path], state: State) -> Path:
    """Make a tree in which all jobs of a state have run: their outputs are there, and empty.

    Archives that are not kept once they are packed are gone, as after a real run.
    """
    config = Config.model_validate(merged(PAPER, state.overlay))
    tree = make_paper_tree(folder, copy_checkout, config)
    for model in (config.subtitles.speech.model, config.depth.estimate.model):
        if model.startswith("models/"):
            (tree / model).mkdir(parents=True)
            (tree / model / "model.safetensors").touch()
    said = _run(tree, "-m", "snakemake", *state.targets, "--summary", overlay=state.overlay)
    table = said[said.index("output_file\t") :]
    for line in table.splitlines()[1:]:
        path = tree / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    touched = ("-c", TOUCH, *state.targets, "--touch", "--forceall", "--cores", "1", "--quiet")
    _run(tree, *touched, overlay=state.overlay)
    return tree


def planned(
    tree: Path,
    targets: tuple[str, ...],
    *arguments: str,
    overlay: Mapping[str, Any],
) -> dict[str, int]:
    """Give how many jobs of each rule would run."""
    options = ("--cores", "1", "--dry-run", "--quiet", "rules", *arguments)
    said = _run(tree, "-m", "snakemake", *targets, *options, overlay=overlay)
    return planned_jobs(said, ("all", *PAPER["tables"]))


def _run(tree: Path, *command: str, overlay: Mapping[str, Any]) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(dict(overlay), file)
        file.flush()
        done = subprocess.run(
            [sys.executable, *command, "--configfile", file.name],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "MLFLOW_TRACKING_URI": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    return done.stdout
