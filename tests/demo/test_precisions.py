"""The demo trained in float32 and in bfloat16: `make precision` prints and compares the recalls."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import imageio_ffmpeg
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

Recalls = Mapping[tuple[str, str], Sequence[float]]
"""Recalls in percent, one a seed, by precision and line of the table."""

PRECISIONS, SEEDS = ("fp32", "bf16"), (0, 1, 2)
RECALL = "text_to_item_R@1"

OVERLAY = """
targets: [demo]
defaults: {{seed: {seed}, pretrain: {{precision: {precision}}}}}
benchmarks: {{toys: {{finetune: {{precision: {precision}}}}}}}
"""


@pytest.fixture(scope="module")
def recalls(
    tmp_path_factory: pytest.TempPathFactory, copy_checkout: Callable[[Path], Path]
) -> Recalls:
    """Run the demo with each seed in each precision, on the same shards."""
    base = copy_checkout(tmp_path_factory.mktemp("precisions"))
    snakemake(base, "--until", "index_shards")
    found: dict[tuple[str, str], list[float]] = {}
    for seed in SEEDS:
        for precision in PRECISIONS:
            tree = base.with_name(f"{precision}_{seed}")
            shutil.copytree(base, tree, symlinks=True)
            overlay = OVERLAY.format(seed=seed, precision=precision)
            (tree / "own.yaml").write_text(overlay, encoding="utf-8")
            snakemake(tree, "--configfile", "config/demo.yaml", "own.yaml")
            lines = read_table(tree / "results/tables/demo.csv")
            sys.stdout.write(f"{precision}, seed {seed}: {lines}\n")
            for line, recall in lines.items():
                found.setdefault((precision, line), []).append(recall)
            shutil.rmtree(tree)
    sys.stdout.write(table_of(found))
    return found


def snakemake(tree: Path, *arguments: str) -> None:
    """Run the workflow as the demo does, untracked."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": "",
        "GRAM_FFMPEG": imageio_ffmpeg.get_ffmpeg_exe(),
    }
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/demo", *arguments]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def read_table(path: Path) -> dict[str, float]:
    lines = pd.read_csv(path)
    return dict(zip(lines["label"], lines[RECALL], strict=True))


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
    lines = [{line for name, line in recalls if name == precision} for precision in PRECISIONS]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 6


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
