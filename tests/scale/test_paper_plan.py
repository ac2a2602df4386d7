"""The paper's own settings are planned whole, from annotations and weights to the tables."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gram.config import Config, parse_score
from tests.planned import planned_jobs
from tests.scale.paper_tree import make_paper_tree

ROOT = Path(__file__).parents[2]
OF_CHUNKS = ("probe_media", "extract_clips", "read_subtitles", "read_depth", "pack_shards")


@pytest.fixture(scope="module")
def config() -> Config:
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    return Config.model_validate(settings)


@pytest.fixture(scope="module")
def planned(
    config: Config,
    copy_checkout: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, int]:
    """Give how many jobs of each rule all tables of the paper need."""
    tree = make_paper_tree(tmp_path_factory.mktemp("paper"), copy_checkout, config)
    return planned_of(tree, *config.tables)


def planned_of(tree: Path, *targets: str) -> dict[str, int]:
    """Ask which jobs some targets need."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", *targets, "--profile", "slurm"),
            *("--dry-run", "--quiet", "rules"),
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "MLFLOW_TRACKING_URI": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return planned_jobs(done.stdout)


def pairs_of(config: Config) -> set[tuple[str, str]]:
    """Give the pairs of run and benchmark of all tables."""
    return {(row.run, row.benchmark) for table in config.tables.values() for row in table.rows}


def splits_of(config: Config, run: str, benchmark: str) -> set[str]:
    """Give the split that is ranked, and the one that scores are fitted on, if any is."""
    protocol = config.benchmarks[benchmark].protocol
    scores = config.runs[run].evaluation.scores
    is_fitted = any(parse_score(score).is_fitted for score in scores)
    fitted_on = {protocol.fit_split} if is_fitted and protocol.fit_split is not None else set()
    return {protocol.split} | fitted_on


@pytest.mark.parametrize("rule", OF_CHUNKS)
def test_every_chunk_of_every_used_data_set_has_a_job(
    rule: str, config: Config, planned: dict[str, int]
) -> None:
    benchmarks = {config.benchmarks[name].dataset for _, name in pairs_of(config)}
    runs = {one for run, _ in pairs_of(config) for one in config.lineage(run)}
    trained = {config.runs[run].pretrain_dataset for run in runs} - {None}
    used = benchmarks | {str(name) for name in trained}
    assert planned[rule] == sum(config.datasets[name].chunks for name in used)


def test_every_line_of_every_table_is_embedded_and_scored_once(
    config: Config, planned: dict[str, int]
) -> None:
    embedded = {
        (run, config.embedded_as(name), split)
        for run, name in pairs_of(config)
        for split in splits_of(config, run, name)
    }
    assert planned["embed_benchmark"] == len(embedded)
    assert planned["score_retrieval"] == len(pairs_of(config))


def test_released_checkpoints_and_one_data_set_are_enough_for_their_table(
    config: Config, copy_checkout: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Nothing else is there: neither other data sets, nor VAST's weights."""
    weights = {name: config.weights[name] for name in ("released_tvas", "released_tvasd")}
    datasets = {"msrvtt": config.datasets["msrvtt"]}
    there = config.model_copy(update={"weights": weights, "datasets": datasets})
    jobs = planned_of(make_paper_tree(tmp_path, copy_checkout, there), "model_zoo")
    assert jobs["import_weights"] == 2
    assert jobs["score_retrieval"] == 2
    assert jobs["make_table"] == 1
    assert "pretrain_model" not in jobs
