import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gram.config import ScoreName
from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.fitted import plain_score
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import RetrievalPlaces, rank_retrieval, summarize_places

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


def _rank(embeddings: BenchmarkEmbeddings, score: ScoreName, **chosen: int) -> RetrievalPlaces:
    return rank_retrieval(plain_score(score), embeddings.ranked, **chosen)


def _gram_volumes(embeddings: BenchmarkEmbeddings) -> NDArray[np.float64]:
    """Volume of every caption with every clip, each from its own Gram matrix, in float64."""
    texts, vectors = embeddings.text_qd.double().numpy(), embeddings.vectors_nkd.double().numpy()
    rows = [[np.vstack([text, items]) for items in vectors] for text in texts]
    return np.array([[np.sqrt(np.linalg.det(a @ a.T)) for a in row] for row in rows])


def test_each_caption_is_a_query_for_its_clip(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(captions=3)
    order = _gram_volumes(embeddings).argsort(axis=1)
    expected = [list(row).index(i // 3) + 1 for i, row in enumerate(order)]
    assert _rank(embeddings, "volume").text_to_item.places.best_q.tolist() == expected


def test_the_best_caption_of_a_clip_counts(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(captions=3, noise=1.5)
    order = _gram_volumes(embeddings).argsort(axis=0)
    first = [
        next(n for n, i in enumerate(column) if i // 3 == clip)
        for clip, column in enumerate(order.T)
    ]
    found = _rank(embeddings, "volume").item_to_text.places
    assert found.best_q.tolist() == [n + 1 for n in first]


def test_a_clip_without_a_caption_stays_a_candidate_but_asks_nothing(
    make_embeddings: MakeEmbeddings,
) -> None:
    embeddings = make_embeddings()
    ranked = dataclasses.replace(
        embeddings.ranked, text_qd=embeddings.text_qd[:5], text_group_q=torch.arange(5)
    )
    found = rank_retrieval(plain_score("cosine_video"), ranked)
    whole = _rank(embeddings, "cosine_video")
    assert torch.equal(found.text_to_item.places.best_q, whole.text_to_item.places.best_q[:5])
    assert found.item_to_text.places.best_q.shape == (5,)


@pytest.mark.parametrize("score", ["volume", "residual", "cosine_audio", "cosine_mean"])
def test_memory_changes_no_place(make_embeddings: MakeEmbeddings, score: ScoreName) -> None:
    embeddings = make_embeddings(captions=2, noise=1.5)
    whole, small = (_rank(embeddings, score, chunk_scores=count) for count in (10_000, 30))
    for direction in ("text_to_item", "item_to_text"):
        one, other = getattr(whole, direction).places, getattr(small, direction).places
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_two_equal_captions_share_the_first_place(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(noise=0.1)
    embeddings.text_qd[1] = embeddings.text_qd[0]
    found = _rank(embeddings, "cosine_video").item_to_text.places
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
