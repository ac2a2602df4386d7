"""Runs that start from weight files of others, or are evaluated as these are."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gram.model import GramModel
from gram.upstream import to_released

Done = subprocess.CompletedProcess[str]

OVERLAY: dict[str, Any] = {
    "weights": {
        "theirs": {
            "kind": "released",
            "checkpoint": "data/theirs/ckpt/model_step_1.pt",
            "vocabulary": "data/theirs/vocab.txt",
        }
    },
    "runs": {
        "as_released": {
            "weights": "theirs",
            "pretrain_dataset": None,
            "evaluation": {"scores": ["cosine_mean"]},
        },
        "goes_on": {"weights": "theirs", "evaluation": {"scores": ["volume"]}},
    },
    "tables": {
        "demo": {
            "rows": [
                {"run": "as_released", "benchmark": "own", "score": "cosine_mean"},
                {"run": "as_released", "benchmark": "dots", "score": "cosine_mean"},
                {"run": "goes_on", "benchmark": "own"},
            ]
        }
    },
}


@pytest.fixture
def tree(own_tree: Path) -> Path:
    """Give a finished tree with the weights of one of its runs in the released code's form."""
    model = GramModel.load(own_tree / "results/pretrained/cosine/last.safetensors")
    checkpoint = own_tree / OVERLAY["weights"]["theirs"]["checkpoint"]
    checkpoint.parent.mkdir(parents=True)
    (own_tree / "data/theirs/log").mkdir()
    torch.save(to_released(model.state_dict(), {}), checkpoint)
    settings = {"model_cfg": {"audio_melbins": model.inputs_config.mel_bins}}
    (own_tree / "data/theirs/log/hps.json").write_text(json.dumps(settings), encoding="utf-8")
    (own_tree / "data/theirs/vocab.txt").write_text(
        "".join(f"{piece}\n" for piece in model.pieces), encoding="utf-8"
    )
    return own_tree


def test_released_weights_are_evaluated_without_a_training(
    tree: Path, run_snakemake: Callable[..., Done]
) -> None:
    done = run_snakemake(tree, "results/scores/as_released/own.json", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    theirs, ours = (
        json.loads((tree / f"results/scores/{run}/own.json").read_text(encoding="utf-8"))
        for run in ("as_released", "cosine")
    )
    assert theirs["scores"] == ours["scores"]
    described = json.loads((tree / "results/imported/as_released/last.json").read_bytes())
    assert described["files"][0]["missing"] == []


def test_weights_that_went_away_after_a_finished_run_are_missed(
    tree: Path, run_snakemake: Callable[..., Done]
) -> None:
    scores = "results/scores/as_released/own.json"
    done = run_snakemake(tree, scores, overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    checkpoint = tree / OVERLAY["weights"]["theirs"]["checkpoint"]
    checkpoint.rename(tree / "elsewhere.pt")
    for arguments in ([scores, "--dry-run"], [scores]):
        done = run_snakemake(tree, *arguments, overlay=OVERLAY)
        assert done.returncode == 1, done.stdout
        assert (
            "weight file data/theirs/ckpt/model_step_1.pt is not there (weights.theirs.checkpoint)"
        ) in " ".join(done.stdout.split())
    (tree / "elsewhere.pt").rename(checkpoint)
    done = run_snakemake(tree, scores, overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_one_import_serves_all_that_a_run_does(
    tree: Path, planned_rules: Callable[..., dict[str, int]]
) -> None:
    assert planned_rules(tree, overlay=OVERLAY) == {
        "import_weights": 2,
        "pretrain_model": 1,
        "finetune_model": 1,
        "embed_benchmark": 3,
        "score_retrieval": 3,
        "show_retrieval": 3,
        "draw_account": 2,
        "draw_strata": 1,
        "draw_volumes": 1,
        "make_table": 1,
        "make_report": 1,
    }


def test_a_weight_file_that_is_not_there_is_named(
    own_tree: Path, run_snakemake: Callable[..., Done]
) -> None:
    done = run_snakemake(
        own_tree, "results/scores/as_released/own.json", "--dry-run", overlay=OVERLAY
    )
    assert done.returncode != 0
    assert (
        "weight file data/theirs/ckpt/model_step_1.pt is not there (weights.theirs.checkpoint)"
    ) in " ".join(done.stdout.split())
