"""A score that is fitted on another split, from the settings to the scores file."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

OVERLAY = {
    "benchmarks": {"dots": {"protocol": {"fit_split": "train", "fit_clips": 8}}},
    "runs": {"volume": {"evaluation": {"scores": ["volume", "trusted_residual+bank"]}}},
}
SCORES = "results/scores/volume/dots"


def test_a_run_fits_its_scores_on_the_split_that_the_protocol_names(
    own_tree: Path, run_snakemake: Callable[..., object]
) -> None:
    done = run_snakemake(own_tree, f"{SCORES}.json", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout  # type: ignore[attr-defined]
    written = json.loads((own_tree / f"{SCORES}.json").read_text(encoding="utf-8"))
    fitted = written["scores"]["trusted_residual+bank"]
    assert fitted["gallery"] == written["gallery"] == 6
    assert (fitted["fit"]["split"], fitted["fit"]["clips"]) == ("train", 6)
    of_train = own_tree / "results/embeddings/volume/dots/train/clips.parquet"
    ranked_ids = set(pq.read_table(own_tree / f"{SCORES}.parquet")["clip_id"].to_pylist())
    assert not ranked_ids & set(pq.read_table(of_train)["clip_id"].to_pylist())
