import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gram.config import EvaluationConfig, ScoreName
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import (
    RetrievalPlaces,
    rank_retrieval,
    score_retrieval,
    summarize_places,
)
from gram.tracking import Silence

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


def _rank(embeddings: BenchmarkEmbeddings, score: ScoreName, **chosen: int) -> RetrievalPlaces:
    return rank_retrieval(
        score,
        embeddings.text_qd,
        text_clip_q=embeddings.text_clip_q,
        vectors_nkd=embeddings.vectors_nkd,
        present_nk=embeddings.present_nk,
        modalities=embeddings.modalities,
        **chosen,
    )


def _gram_volumes(embeddings: BenchmarkEmbeddings) -> NDArray[np.float64]:
    """Volume of every caption with every clip, each from its own Gram matrix, in float64."""
    texts, vectors = embeddings.text_qd.double().numpy(), embeddings.vectors_nkd.double().numpy()
    rows = [[np.vstack([text, items]) for items in vectors] for text in texts]
    return np.array([[np.sqrt(np.linalg.det(a @ a.T)) for a in row] for row in rows])


def test_each_caption_is_a_query_for_its_clip(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(captions=3)
    order = _gram_volumes(embeddings).argsort(axis=1)
    expected = [list(row).index(i // 3) + 1 for i, row in enumerate(order)]
    assert _rank(embeddings, "volume").text_to_item.best_q.tolist() == expected


def test_the_best_caption_of_a_clip_counts(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(captions=3, noise=1.5)
    order = _gram_volumes(embeddings).argsort(axis=0)
    first = [
        next(n for n, i in enumerate(column) if i // 3 == clip)
        for clip, column in enumerate(order.T)
    ]
    found = _rank(embeddings, "volume").item_to_text
    assert found.best_q.tolist() == [n + 1 for n in first]


def test_a_clip_without_a_caption_stays_a_candidate_but_asks_nothing(
    make_embeddings: MakeEmbeddings,
) -> None:
    embeddings = make_embeddings()
    found = rank_retrieval(
        "cosine_video",
        embeddings.text_qd[:5],
        text_clip_q=torch.arange(5),
        vectors_nkd=embeddings.vectors_nkd,
        present_nk=embeddings.present_nk,
        modalities=embeddings.modalities,
    )
    whole = _rank(embeddings, "cosine_video")
    assert torch.equal(found.text_to_item.best_q, whole.text_to_item.best_q[:5])
    assert found.item_to_text.best_q.shape == (5,)


@pytest.mark.parametrize("score", ["volume", "residual", "cosine_audio", "cosine_mean"])
def test_memory_changes_no_place(make_embeddings: MakeEmbeddings, score: ScoreName) -> None:
    embeddings = make_embeddings(captions=2, noise=1.5)
    whole, small = (_rank(embeddings, score, chunk_scores=count) for count in (10_000, 30))
    for one, other in zip(whole, small, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_two_equal_captions_share_the_first_place(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(noise=0.1)
    embeddings.text_qd[1] = embeddings.text_qd[0]
    found = _rank(embeddings, "cosine_video").item_to_text
    assert (int(found.best_q[0]), int(found.worst_q[0])) == (1, 2)


def test_a_summary_is_that_of_the_ranks() -> None:
    ranks = np.array([1, 1, 2, 7, 40, 3])
    places = Places(torch.from_numpy(ranks), torch.from_numpy(ranks))
    assert summarize_places(places, recall_at=(1, 5, 100)) == pytest.approx(
        {
            "R@1": 100 * 2 / 6,
            "R@5": 100 * 4 / 6,
            "R@100": 100.0,
            "median_rank": np.median(ranks),
            "mean_rank": np.mean(ranks),
        }
    )


def test_no_places_are_refused() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="no places to summarize"):
        summarize_places(Places(none, none), recall_at=(1,))


Scored = tuple[dict[str, Any], Notebook]
"""A scores file as it was written, and what its tracker was told."""


@pytest.fixture
def scored(make_embeddings: MakeEmbeddings, tmp_path: Path) -> Scored:
    save_embeddings(make_embeddings(captions=2, trained_on=4), tmp_path / "embeddings")
    settings = EvaluationConfig(scores=("volume", "cosine_audio"), recall_at=(1, 20))
    notebook = Notebook()
    score_retrieval(
        tmp_path / "embeddings", settings=settings, output=tmp_path / "toys.json", tracker=notebook
    )
    return json.loads((tmp_path / "toys.json").read_text(encoding="utf-8")), notebook


def test_the_scores_file_says_what_was_ranked(scored: Scored) -> None:
    facts, _ = scored
    told = {name: fact for name, fact in facts.items() if name not in {"scores", "origin"}}
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
    save_embeddings(make_embeddings(noise=0.0), tmp_path / "embeddings")
    settings = EvaluationConfig(scores=("cosine_video",))
    score_retrieval(
        tmp_path / "embeddings", settings=settings, output=tmp_path / "out", tracker=Silence()
    )
    assert [record.getMessage() for record in caplog.records] == [
        "volume_tva on toys: 12 queries, 12 clips; by cosine_video R@1 is 100.0 % text to item, "
        "100.0 % item to text"
    ]
