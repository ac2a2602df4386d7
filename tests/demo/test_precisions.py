"""The demo trained in float32 and in bfloat16: `make precision` prints and compares the recalls.

The workflow makes the shards once. Trainings, embeddings and scores are those of its jobs, with the
demo's settings but for seed and precision; they run in this process, which spares starting it anew.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import torch
import yaml

from gram.config import Config, merged
from gram.evaluation.embed import embed_benchmark
from gram.evaluation.scoring import score_retrieval
from gram.jobs import EmbedSettings, ScoreSettings, TrainSettings, job_settings
from gram.tracking import Tracker
from gram.training.loop import train
from gram.training.means import Means
from gram.training.preparation import TrainingFiles

pytestmark = pytest.mark.slow

Recalls = Mapping[tuple[str, str], Sequence[float]]
"""Recalls in percent, one a seed, by precision and line of the table."""

PRECISIONS, SEEDS = ("fp32", "bf16"), (0, 1, 2)
BENCHMARK = "toys"
LINES = {
    "cosine_tvasd": "cosine_mean",
    "volume_tva": "volume",
    "volume_tvas": "volume",
    "volume_tvasd": "volume",
}
"""Runs, and the score of each, whose recalls are well above chance."""

INDEX, VOCABULARY = "results/shards/toys/index.parquet", "results/vocabulary/toys/pretrain.txt"
CPU = torch.device("cpu")

TRAINED_BY = ("seed", "model", "inputs", "loss", "optimizer")
EMBEDDED_BY = (
    "inputs",
    "embedding",
    "prompts",
    "embedded_split",
    "ranked_dataset",
    "trained_splits",
    "lineage",
)
SCORED_BY = ("benchmark", "protocol", "evaluation")


@pytest.fixture(scope="module")
def recalls(
    tmp_path_factory: pytest.TempPathFactory, copy_checkout: Callable[[Path], Path]
) -> Recalls:
    """Train the demo with each seed in each precision, on the same shards."""
    tree = copy_checkout(tmp_path_factory.mktemp("precisions"))
    make_shards(tree)
    found: dict[tuple[str, str], list[float]] = {}
    for seed in SEEDS:
        for precision in PRECISIONS:
            demo = Demo(tree, seed=seed, precision=precision)
            for run, score in LINES.items():
                found.setdefault((precision, f"{run}, {score}"), []).append(demo.recall(run, score))
    sys.stdout.write(table_of(found))
    return found


def make_shards(tree: Path) -> None:
    """Run the demo's workflow up to what trainings read."""
    environment = {**os.environ, "GRAM_FFMPEG": imageio_ffmpeg.get_ffmpeg_exe()}
    command = [sys.executable, "-m", "snakemake", INDEX, VOCABULARY, "--profile", "profiles/demo"]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Demo:
    """The demo's runs with one seed, in one precision."""

    def __init__(self, tree: Path, *, seed: int, precision: str) -> None:
        """Train the run that all others start from."""
        settings: dict[str, Any] = {}
        for name in ("config.yaml", "demo.yaml"):
            content = yaml.safe_load((tree / "config" / name).read_text(encoding="utf-8"))
            settings = merged(settings, content)
        change = {
            "defaults": {"seed": seed, "pretrain": {"precision": precision}},
            "benchmarks": {BENCHMARK: {"finetune": {"precision": precision}}},
        }
        self.config = Config.model_validate(merged(settings, change))
        self.tree, self.folder = tree, tree / "results" / f"{precision}_{seed}"
        self.aligned = self._trained("aligned", "pretrain", start=None)

    def recall(self, run: str, score: str) -> float:
        """Give the R@1 of a run from text to clip, pretrained and finetuned, in percent."""
        pretrained = self._trained(run, "pretrain", start=self.aligned)
        tuned = self._trained(run, "finetune", start=pretrained)
        vectors, scores = self.folder / run / "vectors", self.folder / run / "scores.json"
        embed_benchmark(
            EmbedSettings.model_validate_json(self._settings(run, EMBEDDED_BY)),
            checkpoint=tuned,
            index=self.tree / INDEX,
            folder=vectors,
            run=run,
            benchmark=BENCHMARK,
            device=CPU,
        )
        score_retrieval(
            vectors,
            fit_folder=None,
            matches=None,
            settings=ScoreSettings.model_validate_json(self._settings(run, SCORED_BY)),
            scores=scores,
            places=scores.with_suffix(".parquet"),
            tracker=Tracker(),
        )
        described = json.loads(scores.read_text(encoding="utf-8"))["scores"][score]
        return float(described["text_to_item"]["R@1"])

    def _trained(self, run: str, part: str, *, start: Path | None) -> Path:
        """Train; give the checkpoint."""
        files = TrainingFiles(
            index=self.tree / INDEX,
            vocabulary=self.tree / VOCABULARY if start is None else None,
            start=start,
            checkpoint=self.folder / run / part / "last.safetensors",
        )
        settings = TrainSettings.model_validate_json(self._settings(run, (*TRAINED_BY, part)))
        train(settings, files, Means(device=CPU, cache_mib=512), tracker=Tracker())
        return files.checkpoint

    def _settings(self, run: str, names: Sequence[str]) -> str:
        split = self.config.benchmarks[BENCHMARK].protocol.split
        wildcards = {"run": run, "benchmark": BENCHMARK, "split": split}
        return job_settings(self.config, names, wildcards)


def table_of(recalls: Recalls) -> str:
    """Write the recalls as Markdown, with mean and distance of the furthest two seeds."""
    head = "| line | " + " | ".join(f"{name} by seed | mean, spread" for name in PRECISIONS) + " |"
    rows = [head, "|---|" + "---|---:|" * len(PRECISIONS)]
    for line in dict.fromkeys(name for _, name in recalls):
        cells = [line]
        for precision in PRECISIONS:
            values = recalls[precision, line]
            cells.append(", ".join(f"{value:.1f}" for value in values))
            cells.append(f"{statistics.mean(values):.1f}, {spread(values):.1f}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n" + "\n".join(rows) + "\n"


def spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def test_each_line_was_trained_with_each_seed_in_each_precision(recalls: Recalls) -> None:
    assert {len(values) for values in recalls.values()} == {len(SEEDS)}
    assert len(recalls) == len(PRECISIONS) * len(LINES)


def test_means_lie_no_further_apart_than_seeds_of_one_precision(recalls: Recalls) -> None:
    clip = 100 / 96
    apart = {
        line: (statistics.mean(recalls["bf16", line]), statistics.mean(values))
        for (precision, line), values in recalls.items()
        if precision == "fp32"
        and abs(statistics.mean(values) - statistics.mean(recalls["bf16", line]))
        > max(spread(values), spread(recalls["bf16", line]), clip)
    }
    assert apart == {}
