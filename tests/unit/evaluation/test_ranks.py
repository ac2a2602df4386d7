import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.evaluation.ranks import Places, rank_in_chunks, rank_right, right_pairs
from gram.evaluation.scores import NearIs


def _random_scores(queries: int, candidates: int, *, levels: int, seed: int) -> Tensor:
    """Scores of few levels, so that many tie."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, levels, (queries, candidates)) / levels).float()


def _place_by_sorting(
    scores: NDArray[np.float32], right: int, *, near_is: str, is_lucky: bool
) -> int:
    """Place of one candidate after a full sort, with ties for it or against it."""
    sign = 1 if near_is == "small" else -1
    luck = -1 if is_lucky else 1
    keys = [(sign * score, luck * (i == right)) for i, score in enumerate(scores)]
    order = sorted(range(len(scores)), key=lambda i: keys[i])
    return order.index(right) + 1


@pytest.mark.parametrize("near_is", ["small", "large"])
@pytest.mark.parametrize("levels", [3, 10_000], ids=["many ties", "hardly a tie"])
def test_places_are_those_of_a_full_sort(near_is: NearIs, levels: int) -> None:
    scores_qc = _random_scores(20, 30, levels=levels, seed=0)
    right = np.random.default_rng(1).integers(0, 30, 20)
    right_qc = torch.arange(30) == torch.from_numpy(right).unsqueeze(1)
    found = rank_right(scores_qc, right_qc, near_is=near_is)
    pairs = list(zip(scores_qc.numpy(), right, strict=True))
    for places_q, is_lucky in ((found.best_q, True), (found.worst_q, False)):
        assert places_q.tolist() == [
            _place_by_sorting(row, i, near_is=near_is, is_lucky=is_lucky) for row, i in pairs
        ]


def test_a_recall_is_the_mean_over_all_orders_of_the_tied() -> None:
    scores = [0.2, 0.5, 0.5, 0.5, 0.9]  # the right one is number 2
    places = []
    for order in itertools.permutations(range(5)):
        ranked = sorted(order, key=lambda i: scores[i])
        places.append(ranked.index(2) + 1)
    right_qc = torch.arange(5).unsqueeze(0) == 2
    found = rank_right(torch.tensor([scores]), right_qc, near_is="small")
    assert float(found.mean_q) == pytest.approx(np.mean(places))
    for k in range(1, 7):
        share = np.mean([place <= k for place in places])
        assert float(found.share_within(k)) == pytest.approx(share)


def test_without_ties_a_share_is_0_or_1() -> None:
    places_q = torch.tensor([1, 2, 3])
    assert Places(places_q, places_q).share_within(2).tolist() == [1.0, 1.0, 0.0]


def test_one_score_for_everything_gets_what_chance_gets() -> None:
    found = rank_right(torch.zeros(8, 8), torch.eye(8, dtype=torch.bool), near_is="small")
    assert float(found.share_within(1).mean()) == pytest.approx(1 / 8)
    assert float(found.mean_q.mean()) == pytest.approx(4.5)


def test_the_nearest_of_several_right_candidates_counts() -> None:
    right_qc = torch.tensor([[True, False, True, False]])
    found = rank_right(torch.tensor([[0.9, 0.1, 0.3, 0.5]]), right_qc, near_is="small")
    assert found.best_q.tolist() == found.worst_q.tolist() == [2]


def test_right_candidates_do_not_tie_with_each_other() -> None:
    right_qc = torch.tensor([[True, True, False]])
    found = rank_right(torch.tensor([[0.5, 0.5, 0.9]]), right_qc, near_is="small")
    assert found.worst_q.tolist() == [1]


def test_rounding_of_float32_makes_a_tie() -> None:
    near_one = torch.tensor([[1.0, 1.0 - 6e-8, 0.99]])
    found = rank_right(near_one, torch.tensor([[True, False, False]]), near_is="small")
    assert (int(found.best_q), int(found.worst_q)) == (2, 3)


@pytest.mark.parametrize("compared", [1, 31, 10_000])
@pytest.mark.parametrize("chunk_scores", [1, 30, 61, 10_000])
def test_chunks_change_no_place(
    chunk_scores: int, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram.evaluation.ranks.COMPARED_SCORES", compared)
    scores_qc = _random_scores(20, 30, levels=5, seed=2)
    query_clip_q = torch.arange(20)
    candidate_clip_c = torch.arange(30) % 20
    widths = []

    def score_chunk(chunk: slice) -> Tensor:
        widths.append(len(scores_qc[chunk]))
        return scores_qc[chunk]

    found = rank_in_chunks(
        score_chunk,
        query_clip_q,
        candidate_clip_c=candidate_clip_c,
        near_is="large",
        chunk_scores=chunk_scores,
    )
    right_qc = query_clip_q.unsqueeze(1) == candidate_clip_c
    whole = rank_right(scores_qc, right_qc, near_is="large")
    assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))
    assert max(widths) * 30 <= max(30, chunk_scores)


def test_right_pairs_are_those_of_one_group() -> None:
    random = np.random.default_rng(3)
    query_q, candidate_c = (torch.from_numpy(random.integers(0, 9, size)) for size in (20, 30))
    found = right_pairs(query_q, candidate_c)
    expected = (query_q.unsqueeze(1) == candidate_c).nonzero()
    assert torch.equal(torch.stack(found, dim=1), expected)


def test_large_scores_that_are_finite_are_ranked() -> None:
    large = torch.tensor([[3e38, 3e38, 1.0]])  # whose sum is not finite
    found = rank_right(large, torch.tensor([[False, False, True]]), near_is="small")
    assert int(found.worst_q) == 1


def test_no_query_gives_no_place() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    found = rank_in_chunks(
        lambda chunk: torch.zeros(0, 3)[chunk],
        none,
        candidate_clip_c=torch.arange(3),
        near_is="small",
    )
    assert found.best_q.shape == found.worst_q.shape == (0,)


def test_a_score_that_is_not_finite_is_refused() -> None:
    scores_qc = torch.tensor([[torch.nan, 0.5]])
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        rank_right(scores_qc, torch.tensor([[True, False]]), near_is="small")


def test_a_query_without_a_right_candidate_is_refused() -> None:
    right_qc = torch.tensor([[True, False], [False, False]])
    with pytest.raises(ValueError, match="1 of 2 queries have no right candidate; leave them out"):
        rank_right(torch.zeros(2, 2), right_qc, near_is="small")


def test_shapes_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(3, 2\)"):
        rank_right(torch.zeros(2, 3), torch.ones(3, 2, dtype=torch.bool), near_is="small")
