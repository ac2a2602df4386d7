"""The job that scores: its files, what its tracker and its log are told."""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gram.config import EvaluationConfig, ProtocolConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
from gram.evaluation.scoring import score_retrieval
from gram.jobs import ScoreSettings
from gram.tracking import Tracker

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


class Notebook:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        """Begin with an empty page."""
        self.values: dict[str, float] = {}

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Keep the numbers."""
        self.values.update(values)

    def artifact(self, path: Path) -> None:
        """Refuse: scoring sends no file."""
        raise AssertionError(path)


def _score(
    folder: Path,
    settings: EvaluationConfig,
    tracker: Tracker,
    protocol: ProtocolConfig = ProtocolConfig(),  # noqa: B008 - it cannot be changed
) -> None:
    """Score the embeddings of a folder, into the same folder."""
    score_retrieval(
        folder,
        fit_folder=None,
        matches=None,
        settings=ScoreSettings(benchmark="toys", protocol=protocol, evaluation=settings),
        scores=folder / "toys.json",
        places=folder / "toys.parquet",
        tracker=tracker,
    )


NOT_COUNTED = {"scores", "origin", "protocol", "evaluation"}
Scored = tuple[dict[str, Any], Notebook]
"""A scores file as it was written, and what its tracker was told."""


@pytest.fixture
def scored(make_embeddings: MakeEmbeddings, tmp_path: Path) -> Scored:
    save_embeddings(make_embeddings(captions=2, trained_on=4), tmp_path)
    settings = EvaluationConfig(scores=("volume", "cosine_audio"), recall_at=(1, 20))
    notebook = Notebook()
    _score(tmp_path, settings, notebook, ProtocolConfig(captions="all"))
    return json.loads((tmp_path / "toys.json").read_text(encoding="utf-8")), notebook


def test_the_scores_file_says_what_was_ranked(scored: Scored) -> None:
    facts, _ = scored
    told = {name: fact for name, fact in facts.items() if name not in NOT_COUNTED}
    assert told == {
        "run": "volume_tva",
        "benchmark": "toys",
        "dataset": "toys",
        "split": "test",
        "modalities": ["video", "audio"],
        "gallery": 12,
        "queries": 24,
        "counts": {"rows": 13, "unusable": 1, "used": 12},
        "trained_on": 4,
        "clip_ids": [f"test_{i:04d}" for i in range(12)],
    }


def test_the_scores_file_has_both_directions_of_each_score(scored: Scored) -> None:
    scores = scored[0]["scores"]
    assert {name: score["near_is"] for name, score in scores.items()} == {
        "volume": "small",
        "cosine_audio": "large",
    }
    for score in scores.values():
        for direction in ("text_to_item", "item_to_text"):
            assert set(score[direction]) == {"R@1", "R@20", "median_rank", "mean_rank"}


def test_a_k_beyond_the_gallery_counts_all(scored: Scored) -> None:
    assert scored[0]["scores"]["volume"]["text_to_item"]["R@20"] == 100.0


def test_the_tracker_is_told_every_number(scored: Scored) -> None:
    facts, notebook = scored
    assert len(notebook.values) == 2 * 2 * 4
    recall = facts["scores"]["volume"]["item_to_text"]["R@1"]
    assert notebook.values["volume/item_to_text/R@1"] == recall


def test_scoring_logs_one_line(
    make_embeddings: MakeEmbeddings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    save_embeddings(make_embeddings(noise=0.0), tmp_path)
    _score(tmp_path, EvaluationConfig(scores=("cosine_video",)), Tracker())
    assert [record.getMessage() for record in caplog.records] == [
        "volume_tva on toys: 12 queries, 12 clips; by cosine_video R@1 is 100.0 % text to item, "
        "100.0 % item to text"
    ]
