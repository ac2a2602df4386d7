"""The report of a workflow that has run: a folder that opens from disk, whole."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from gram.config import Config
from tests.browser import CHROMIUM, browser
from tests.unit.report.pages import Page

Done = subprocess.CompletedProcess[str]
CHECKPOINTS = {"make_clips", "generate_clips"}


@pytest.fixture(scope="module")
def folder(finished_tree: Path) -> Path:
    return finished_tree / "results/report"


def pages_of(folder: Path) -> list[Path]:
    pages = sorted(folder.rglob("*.html"))
    assert [page.relative_to(folder).as_posix() for page in pages] == [
        "index.html",
        "retrieval/cosine/own.html",
        "retrieval/volume/dots.html",
    ]
    return pages


def test_every_link_leads_to_a_file_of_the_folder(folder: Path) -> None:
    found = set()
    for page in pages_of(folder):
        for address in Page(page.read_text(encoding="utf-8")).addresses:
            name = unquote(address.partition("#")[0])
            target = (page.parent / name).resolve() if name else page
            assert target.is_file(), f"{page.name}: {address}"
            found.add(target.relative_to(folder.resolve()).as_posix())
    tables = {f"tables/demo.{kind}" for kind in ("csv", "md", "tex")}
    beside = {"account.csv", "config.yaml", "versions.txt", "rules.svg"}
    assert tables | beside | {"index.html"} <= found


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_opened_from_disk_nothing_is_asked_for_elsewhere(folder: Path) -> None:
    with browser() as seen:
        seen.look(width=1200)
        for page in pages_of(folder):
            seen.open(page)
            assert seen.run("document.body.innerText.length") > 500
        assert seen.said == []
        inside = (folder.as_uri(), "data:image/")
        assert [one for one in seen.requests if not one.startswith(inside)] == []


def test_a_start_with_the_report_s_settings_has_nothing_to_do(finished_tree: Path) -> None:
    settings = "results/report/config.yaml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--profile", "profiles/demo", "--dry-run"),
            *("--configfile", settings),
        ],
        cwd=finished_tree,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Nothing to be done" in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_settings_of_the_report_are_whole(folder: Path) -> None:
    written = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config = Config.model_validate(written)
    assert sorted(config.runs) == ["cosine", "volume"]
    assert sorted(config.benchmarks) == ["dots", "own"]
    assert sorted(config.datasets) == ["dots", "own"]


def test_finished_checkpoints_stay_in_the_drawing(
    own_tree: Path, run_snakemake: Callable[..., Done]
) -> None:
    rules = own_tree / "results/rules.json"
    before = json.loads(rules.read_bytes())
    assert set(before["jobs"]) >= CHECKPOINTS | {"show_retrieval", "make_report"}
    done = run_snakemake(own_tree, "report", overlay={"report": {"others": 0}})
    assert done.returncode == 0, done.stdout
    assert json.loads(rules.read_bytes()) == before
    drawing = (own_tree / "results/report/rules.svg").read_text(encoding="utf-8")
    assert all(f">{name}</text>" in drawing for name in before["jobs"])
