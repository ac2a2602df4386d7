"""The demo, as a new user runs it: from a fresh copy to the table, twice."""

import html.parser
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

pytestmark = pytest.mark.demo

Done = subprocess.CompletedProcess[str]

VOLUMES = ("volume_tv", "volume_tva", "volume_tvas", "volume_tvasd")
"""Runs whose items have one modality more each."""

RUNS = ("cosine_tvasd", *VOLUMES)
TRACKED = {
    "pretrain_model aligned",
    *(f"pretrain_model {run}" for run in RUNS),
    *(f"finetune_model {run} toys" for run in RUNS),
    *(f"score_retrieval {run} toys" for run in RUNS),
    "make_table demo",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, copy_checkout: Callable[[Path], Path]) -> Path:
    """Give a fresh copy of the project."""
    return copy_checkout(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def first(tree: Path) -> Done:
    """Give what the first start said."""
    return _demo(tree)


@pytest.fixture(scope="module")
def second(tree: Path, first: Done) -> tuple[Done, float]:
    """Give what the second start said, and how many seconds it took."""
    assert first.returncode == 0, first.stdout
    began = time.monotonic()
    done = _demo(tree)
    return done, time.monotonic() - began


@pytest.fixture(scope="module")
def lines(tree: Path, first: Done) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Give the lines of the table by run and score."""
    assert first.returncode == 0, first.stdout
    records = pd.read_csv(tree / "results/tables/demo.csv").to_dict("records")
    return {
        (line["run"], line["score"]): {str(key): value for key, value in line.items()}
        for line in records
    }


@pytest.fixture(scope="module")
def tracked(tree: Path, first: Done) -> list[Run]:
    """Give all runs of the tracking database."""
    assert first.returncode == 0, first.stdout
    client = MlflowClient(f"sqlite:///{tree / 'results/mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "gram"]
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def test_the_demo_runs_to_its_end(first: Done) -> None:
    assert first.returncode == 0, first.stdout


def test_the_demo_prints_the_table(tree: Path, first: Done) -> None:
    assert (tree / "results/tables/demo.md").read_text(encoding="utf-8") in first.stdout


def test_the_demo_names_the_report(tree: Path, first: Done) -> None:
    (path,) = re.findall(r"^Report: +(\S+)$", first.stdout, re.M)
    assert Path(path) == tree / "results/report/index.html"


def test_the_demo_names_the_command_that_shows_the_tracking(tree: Path, first: Done) -> None:
    database = tree / "results/mlflow.db"
    (program,) = re.findall(
        rf"^Tracking: (\S+) ui --backend-store-uri sqlite:///{re.escape(str(database))}$",
        first.stdout,
        re.M,
    )
    assert os.access(program, os.X_OK)


@pytest.mark.parametrize(
    ("fewer", "more"),
    [pytest.param(*pair, id=pair[1]) for pair in pairwise(VOLUMES)],
)
def test_a_modality_more_raises_the_recall(
    fewer: str, more: str, lines: Mapping[tuple[str, str], Mapping[str, Any]]
) -> None:
    assert recall(lines[fewer, "volume"]) < recall(lines[more, "volume"])


def test_all_modalities_are_ten_times_above_chance(
    lines: Mapping[tuple[str, str], Mapping[str, Any]],
) -> None:
    best = lines["volume_tvasd", "volume"]
    assert recall(best) >= 10 * 100 / best["gallery"]


def test_all_modalities_are_above_the_cosine_of_text_and_video(
    lines: Mapping[tuple[str, str], Mapping[str, Any]],
) -> None:
    cosine = lines["cosine_tvasd", "cosine_video"]
    assert recall(lines["volume_tvasd", "volume"]) > recall(cosine)


def test_no_line_ranks_clips_that_training_saw(
    lines: Mapping[tuple[str, str], Mapping[str, Any]],
) -> None:
    assert {line["trained_on"] for line in lines.values()} == {0}


def test_the_report_loads_nothing_from_elsewhere(tree: Path, first: Done) -> None:
    assert first.returncode == 0, first.stdout
    links, folder = _Links(), tree / "results/report"
    links.feed((folder / "index.html").read_text(encoding="utf-8"))
    files = [link for link in links.found if not link.startswith(("data:", "#"))]
    inside = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files
    assert [link for link in files if unquote(link).partition("#")[0] not in inside] == []


def test_one_run_is_the_parent_of_all_jobs(tracked: list[Run]) -> None:
    (parent,) = [run for run in tracked if "mlflow.parentRunId" not in run.data.tags]
    parents = {run.data.tags.get("mlflow.parentRunId") for run in tracked if run is not parent}
    assert parents == {parent.info.run_id}


def test_every_training_and_scoring_is_tracked(tracked: list[Run]) -> None:
    keys = [run.data.tags["gram.key"] for run in tracked if "gram.key" in run.data.tags]
    assert sorted(keys) == sorted(TRACKED)


def test_every_tracked_run_is_finished(tracked: list[Run]) -> None:
    assert {run.info.status for run in tracked} == {"FINISHED"}


def test_a_tracked_training_has_its_losses(tracked: list[Run]) -> None:
    (run,) = [run for run in tracked if run.data.tags.get("gram.key") == "pretrain_model volume_tv"]
    assert {"loss", "clips_per_second"} <= set(run.data.metrics)


def test_a_second_start_has_nothing_to_do(second: tuple[Done, float]) -> None:
    assert second[0].returncode == 0, second[0].stdout
    assert "Nothing to be done" in second[0].stdout


def test_a_second_start_takes_seconds(second: tuple[Done, float]) -> None:
    assert second[1] <= 30


def recall(line: Mapping[str, Any]) -> float:
    """Read R@1 from text to item of a line, in percent."""
    (name,) = [name for name in line if "text_to_item" in name and name.endswith("R@1")]
    return float(line[name])


class _Links(html.parser.HTMLParser):
    """Collects what a page loads or leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]


def _demo(tree: Path) -> Done:
    """Start the demo as its make target does; tracking is where it is by default."""
    environment = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}
    return subprocess.run(
        [sys.executable, "-m", "gram.demo"],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
