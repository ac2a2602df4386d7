"""The workflow over clips that people filmed, and over files that are no clips at all.

The folder with the clips is named by GRAM_REAL_CLIPS, or stands at shared/real-clips beside the
checkout; it is not part of the project.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from gram.data.status import DecidingStage

EXAMPLE = "config/examples/own_clips.yaml"
CLIPS = Path(
    os.environ.get("GRAM_REAL_CLIPS") or Path(__file__).parents[3] / "shared" / "real-clips"
)

pytestmark = pytest.mark.skipif(
    not (CLIPS / "annotations_all.json").is_file(),
    reason=f"no real clips in {CLIPS}; name their folder in GRAM_REAL_CLIPS",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, copy_checkout: Callable[[Path], Path]) -> Path:
    """Give a tree where the README's example ran over the real clips, with its paths replaced."""
    tree = copy_checkout(tmp_path_factory.mktemp("real"))
    example = tree / EXAMPLE
    text = example.read_text(encoding="utf-8")
    for path, here in (
        ("data/own/media", CLIPS.absolute()),
        ("data/own/annotations.json", CLIPS.absolute() / "annotations_all.json"),
    ):
        assert text.count(path) == 1
        text = text.replace(path, str(here))
    example.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/demo"]
    done = subprocess.run(
        [*command, "--configfile", "config/demo.yaml", EXAMPLE],
        cwd=tree,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return tree


@pytest.fixture(scope="module")
def rows(tree: Path) -> pd.DataFrame:
    """Give the index of the clips."""
    return pd.read_parquet(tree / "results/shards/own/index.parquet")


def test_every_annotated_clip_has_a_row(rows: pd.DataFrame) -> None:
    assert len(rows) == 20


def test_every_sound_clip_can_be_used(rows: pd.DataFrame) -> None:
    usable = rows[rows["status"] == "ok"]
    names = {path.stem for path in (CLIPS / "videos").iterdir()}
    assert len(names) == 11
    assert names <= set(usable["clip_id"])


def test_every_clip_set_aside_has_stage_and_reason(rows: pd.DataFrame) -> None:
    unusable = rows[rows["status"] != "ok"]
    assert len(unusable) >= 3  # nothing, noise, text
    assert set(unusable["stage"]) <= set(DecidingStage)
    assert unusable["reason"].str.len().min() > 10


def test_the_table_states_how_many_clips_were_ranked(tree: Path, rows: pd.DataFrame) -> None:
    num_usable = int((rows["status"] == "ok").sum())
    table = (tree / "results/tables/own.md").read_text(encoding="utf-8")
    assert f"{num_usable} clips and {num_usable} queries" in table


def test_the_table_warns_that_training_saw_the_clips(tree: Path) -> None:
    table = (tree / "results/tables/own.md").read_text(encoding="utf-8")
    assert "These numbers show that the plumbing works, not that anything was learned." in table


def test_the_table_for_programs_counts_the_clips(tree: Path, rows: pd.DataFrame) -> None:
    (line,) = pd.read_csv(tree / "results/tables/own.csv").to_dict("records")
    assert line["gallery"] == line["trained_on"] == (rows["status"] == "ok").sum()
