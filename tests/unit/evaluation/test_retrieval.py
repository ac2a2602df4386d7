import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

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
from gram.types import Modality

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
    del facts["scores"]
    assert facts == {
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


Recalls = tuple[float, float, float]

# What the authors' own code prints for two snapshots of their model: 884 clips of MSR-VTT, one
# caption each. Recalls at 1, 5 and 10, text to item, then item to text.
UPSTREAM = [
    (0, "cosine_video", 1, (44.9, 72.4, 82.5), (33.1, 63.9, 75.6)),
    (0, "volume", 2, (24.1, 42.6, 51.4), (33.0, 64.7, 75.2)),
    (0, "volume", 3, (24.1, 43.1, 50.6), (33.5, 64.7, 75.1)),
    (0, "residual", 2, (43.4, 72.1, 80.3), (33.0, 64.7, 75.2)),
    (0, "residual", 3, (43.6, 72.3, 79.6), (33.5, 64.7, 75.1)),
    (99, "cosine_video", 1, (41.5, 70.6, 81.4), (37.7, 66.5, 75.8)),
    (99, "volume", 2, (43.7, 70.2, 79.5), (38.2, 66.1, 75.9)),
    (99, "volume", 3, (43.7, 70.6, 80.1), (37.8, 65.7, 76.1)),
    (99, "residual", 2, (43.0, 71.9, 81.0), (38.2, 66.1, 75.9)),
    (99, "residual", 3, (42.2, 71.7, 81.1), (37.8, 65.7, 76.1)),
]


def _lucky_recalls(places: Places) -> list[float]:
    """Recalls with every tie for the right one, as upstream's counting has it."""
    return [100 * (places.best_q <= k).double().mean().item() for k in (1, 5, 10)]


def _fair_recalls(places: Places) -> list[float]:
    summary = summarize_places(places, recall_at=(1, 5, 10))
    return [summary[f"R@{k}"] for k in (1, 5, 10)]


def _rank_upstream(tensors: dict[str, Tensor], score: ScoreName, *, count: int) -> RetrievalPlaces:
    names = ("video", "audio", "subtitles")[:count]
    return rank_retrieval(
        score,
        tensors["text"],
        text_clip_q=torch.arange(884),
        vectors_nkd=torch.stack([tensors[name] for name in names], dim=1),
        present_nk=torch.ones(884, count, dtype=torch.bool),
        modalities=(Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE)[:count],
    )


@pytest.mark.parametrize(
    ("step", "score", "count", "text_to_item", "item_to_text"),
    UPSTREAM,
    ids=[f"step {step}, {score}, {count + 1} modalities" for step, score, count, _, _ in UPSTREAM],
)
def test_embeddings_of_others_give_the_recalls_of_others(
    upstream: Callable[[int], dict[str, Tensor]],
    step: int,
    score: ScoreName,
    count: int,
    text_to_item: Recalls,
    item_to_text: Recalls,
) -> None:
    found = _rank_upstream(upstream(step), score, count=count)
    assert _fair_recalls(found.text_to_item) == pytest.approx(text_to_item, abs=0.06)
    assert _lucky_recalls(found.item_to_text) == pytest.approx(item_to_text, abs=0.06)


def test_ties_of_equal_captions_cost_what_they_cost_upstream(
    upstream: Callable[[int], dict[str, Tensor]],
) -> None:
    # Their log prints 33.3 for item to text here: of two equal captions, one finds its clip.
    found = _rank_upstream(upstream(0), "volume", count=3)
    assert _fair_recalls(found.item_to_text) == pytest.approx((33.3, 64.7, 75.1), abs=0.06)
