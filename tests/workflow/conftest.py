"""A tiny workflow that has run to its end, and ways to ask what would run in a copy of it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import yaml

from gram.config import GeneratedDataset
from gram.data.generate import generate_clips
from tests.planned import planned_jobs

TINY = "tests/workflow/tiny.yaml"
ENVIRONMENT = {"MLFLOW_TRACKING_URI": "", "GRAM_FFMPEG": imageio_ffmpeg.get_ffmpeg_exe()}
"""Of every start: untracked, and decoded as the demo does, so that both give the same bytes."""


Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def run_snakemake() -> Callable[..., Done]:
    """Give a function that runs Snakemake in a tree, untracked, and says how it ended."""
    return _run_snakemake


@pytest.fixture(scope="session")
def planned_rules() -> Callable[..., dict[str, int]]:
    """Give a function that tells how many jobs of each rule would run in a tree."""
    return _planned_rules


@pytest.fixture(scope="session")
def new_tree(
    tmp_path_factory: pytest.TempPathFactory, copy_checkout: Callable[[Path], Path]
) -> Callable[[], Path]:
    """Give a function that makes a tree in which nothing has run, with six clips in data/own."""

    def make() -> Path:
        tree = copy_checkout(tmp_path_factory.mktemp("tree"))
        _checkpoint_each_step(tree / "profiles/demo/config.yaml")
        _make_own_clips(tree / "data" / "own")
        return tree

    return make


@pytest.fixture(scope="session")
def finished_tree(new_tree: Callable[[], Path]) -> Path:
    """Give a tree in which the tiny workflow has run to its end; tests do not change it."""
    tree = new_tree()
    done = _run_snakemake(tree)
    assert done.returncode == 0, done.stdout
    return tree


@pytest.fixture
def own_tree(finished_tree: Path, tmp_path: Path) -> Path:
    """Give a copy of the finished tree, with the files' times, for one test to change."""
    return shutil.copytree(finished_tree, tmp_path / "tree", symlinks=True)


def _checkpoint_each_step(profile: Path) -> None:
    """Keep a partial checkpoint of every step, since a tiny training has three."""
    settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    settings["set-resources"]["pretrain_model"]["checkpoint_steps"] = 1
    profile.write_text(yaml.safe_dump(settings), encoding="utf-8")


def _make_own_clips(folder: Path) -> None:
    clips = {"test": 5, "train": 1}
    six = GeneratedDataset(kind="generated", clips=clips, seed=7, seconds=0.5, pixels=48)
    generate_clips(
        six, chunk=0, media=folder / "media", annotations=folder / "annotations.json", workers=2
    )


def _run_snakemake(
    tree: Path,
    *arguments: str,
    profile: str = "profiles/demo",
    overlay: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    command = [sys.executable, "-m", "snakemake", *arguments, "--profile", profile]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(dict(overlay or {}), file)
        file.flush()
        return subprocess.run(
            [*command, "--configfile", TINY, file.name],
            cwd=tree,
            env={**os.environ, **ENVIRONMENT, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def _planned_rules(
    tree: Path,
    *arguments: str,
    profile: str = "profiles/demo",
    overlay: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    done = _run_snakemake(
        tree, *arguments, "--dry-run", "--quiet", "rules", profile=profile, overlay=overlay
    )
    assert done.returncode == 0, done.stdout
    return planned_jobs(done.stdout)
