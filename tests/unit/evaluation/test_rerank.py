from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gram.evaluation.rerank import (
    Match,
    Reranked,
    mark_best,
    match_probability,
    rank_reranked,
    rerank,
)
from gram.evaluation.scores import NearIs

TEXTS, ITEMS = 7, 5


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def reader_of(probability_nm: Tensor) -> Match:
    return lambda texts_p, items_p: probability_nm[texts_p, items_p]


def reranked(keep: int = 2, near_is: NearIs = "small", pairs_at_once: int = 64) -> Reranked:
    """Re-rank random first scores by random probabilities."""
    return rerank(
        noise(TEXTS, ITEMS),
        reader_of(noise(TEXTS, ITEMS, seed=1)),
        near_is=near_is,
        keep=keep,
        pairs_at_once=pairs_at_once,
    )


def order_by_hand(scores: list[float], read: list[float], *, near_is: str, keep: int) -> list[int]:
    """Order the candidates of one query: the best K by what was read, then the others."""
    first = sorted(
        range(len(scores)), key=lambda c: scores[c] if near_is == "small" else -scores[c]
    )
    return [*sorted(first[:keep], key=lambda c: -read[c]), *first[keep:]]


# --- order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("near_is", ["small", "large"])
@pytest.mark.parametrize("keep", [1, 3, ITEMS, 50])
def test_items_are_in_the_order_of_a_loop(near_is: NearIs, keep: int) -> None:
    order_nm = reranked(keep, near_is).items_of_text_nm.argsort(dim=1, descending=True)
    scores, read = noise(TEXTS, ITEMS).tolist(), noise(TEXTS, ITEMS, seed=1).tolist()
    assert order_nm.tolist() == [
        order_by_hand(*pair, near_is=near_is, keep=keep) for pair in zip(scores, read, strict=True)
    ]


@pytest.mark.parametrize("near_is", ["small", "large"])
@pytest.mark.parametrize("keep", [1, 3, TEXTS, 50])
def test_texts_are_in_the_order_of_a_loop(near_is: NearIs, keep: int) -> None:
    order_mn = reranked(keep, near_is).texts_of_item_nm.mT.argsort(dim=1, descending=True)
    scores, read = noise(TEXTS, ITEMS).mT.tolist(), noise(TEXTS, ITEMS, seed=1).mT.tolist()
    assert order_mn.tolist() == [
        order_by_hand(*pair, near_is=near_is, keep=keep) for pair in zip(scores, read, strict=True)
    ]


def test_what_was_read_holds_its_probability() -> None:
    found = reranked().items_of_text_nm
    assert found[found >= 0].equal(noise(TEXTS, ITEMS, seed=1)[found >= 0])


def test_each_text_has_k_items_read() -> None:
    assert (reranked(keep=2).items_of_text_nm >= 0).sum(dim=1).tolist() == [2] * TEXTS


def test_each_item_has_k_texts_read() -> None:
    assert (reranked(keep=2).texts_of_item_nm >= 0).sum(dim=0).tolist() == [2] * ITEMS


def test_what_was_not_read_stays_behind_a_match_that_is_impossible() -> None:
    never = rerank(
        noise(TEXTS, ITEMS), reader_of(torch.zeros(TEXTS, ITEMS)), near_is="small", keep=2
    )
    assert never.items_of_text_nm.unique().tolist()[-2] <= -1


def test_of_equal_scores_the_first_are_read() -> None:
    marked = mark_best(torch.zeros(1, 4), near_is="large", keep=2)
    assert marked.tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_probabilities_are_not_rounded_to_the_type_of_the_scores(dtype: torch.dtype) -> None:
    given = torch.full((2, 2), 0.123456)
    found = rerank(torch.eye(2, dtype=dtype), reader_of(given), near_is="large", keep=2)
    assert found.items_of_text_nm.equal(given)


# --- reading ------------------------------------------------------------------------------------


def seen_by(keep: int, pairs_at_once: int) -> list[list[tuple[int, int]]]:
    """Give the pairs of each call."""
    calls: list[list[tuple[int, int]]] = []

    def match(texts_p: Tensor, items_p: Tensor) -> Tensor:
        calls.append(list(zip(texts_p.tolist(), items_p.tolist(), strict=True)))
        return torch.full((len(texts_p),), 0.5)

    rerank(noise(TEXTS, ITEMS), match, near_is="small", keep=keep, pairs_at_once=pairs_at_once)
    return calls


def test_no_call_has_more_pairs_than_asked_for() -> None:
    assert max(len(pairs) for pairs in seen_by(keep=3, pairs_at_once=4)) == 4


def test_a_pair_that_both_directions_want_is_read_once() -> None:
    pairs = [pair for call in seen_by(keep=3, pairs_at_once=4) for pair in call]
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("pairs_at_once", [1, 3, 1000])
def test_how_many_pairs_are_read_at_once_changes_nothing(pairs_at_once: int) -> None:
    whole, parts = reranked(), reranked(pairs_at_once=pairs_at_once)
    assert all(one.equal(other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.gpu
def test_scores_on_a_device_are_reranked_there() -> None:
    given = noise(TEXTS, ITEMS, seed=1).cuda()
    found = rerank(noise(TEXTS, ITEMS).cuda(), reader_of(given), near_is="small", keep=2)
    assert found.items_of_text_nm.cpu().equal(reranked().items_of_text_nm)


def test_the_probability_of_a_match_is_that_of_the_second_logit() -> None:
    logits_p2 = torch.tensor([[1.0, 3.0]])
    assert float(match_probability(logits_p2)) == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_the_probability_of_half_logits_is_float32() -> None:
    assert match_probability(torch.zeros(3, 2, dtype=torch.float16)).dtype == torch.float32


# --- places -------------------------------------------------------------------------------------


def test_places_count_from_the_nearest() -> None:
    similarity_nm = torch.tensor([[0.9, 0.2, -1.5], [-1.2, 0.4, 0.1], [-1.0, -1.1, -1.2]])
    places = rank_reranked(Reranked(similarity_nm, similarity_nm), torch.arange(3))
    assert places.text_to_item.places.best_q.tolist() == [1, 1, 3]
    assert places.item_to_text.places.best_q.tolist() == [1, 1, 2]


def test_the_nearest_of_several_texts_counts() -> None:
    similarity_nm = torch.tensor([[0.1, 0.5], [0.8, 0.9], [0.3, 0.2]])
    places = rank_reranked(Reranked(similarity_nm, similarity_nm), torch.tensor([0, 0, 1]))
    assert places.item_to_text.places.best_q.tolist() == [1, 3]


def test_an_item_without_a_text_is_a_candidate_and_no_query() -> None:
    similarity_nm = torch.tensor([[0.5, 0.1, 0.9], [0.1, 0.8, 0.2]])
    places = rank_reranked(Reranked(similarity_nm, similarity_nm), torch.tensor([0, 1]))
    assert places.text_to_item.places.best_q.tolist() == [2, 1]
    assert places.item_to_text.places.best_q.tolist() == [1, 1]


@pytest.mark.parametrize("center", [0.0, 1.0])
def test_probabilities_that_crowd_at_an_end_are_told_apart(center: float) -> None:
    step = 3e-7
    similarity_nm = (torch.tensor([[0.0, 1.0, 2.0]]) * step - center).abs()
    places = rank_reranked(Reranked(similarity_nm, similarity_nm), torch.tensor([1]))
    assert (
        places.text_to_item.places.best_q.item(),
        places.text_to_item.places.worst_q.item(),
    ) == (2, 2)


def test_equal_probabilities_tie() -> None:
    similarity_nm = torch.full((1, 4), 0.5)
    places = rank_reranked(
        Reranked(similarity_nm, similarity_nm), torch.tensor([1])
    ).text_to_item.places
    assert (places.best_q.item(), places.worst_q.item()) == (1, 4)


def test_a_model_that_reads_nothing_out_of_pairs_gets_what_chance_gets() -> None:
    same = reader_of(torch.full((8, 8), 0.5))
    found = rerank(noise(8, 8), same, near_is="small", keep=8)
    places = rank_reranked(found, torch.arange(8)).text_to_item.places
    assert float(places.share_within(1).mean()) == pytest.approx(1 / 8)


# --- mistakes -----------------------------------------------------------------------------------


def test_a_text_of_no_item_is_named() -> None:
    found = reranked()
    with pytest.raises(ValueError, match="1 of 7 queries have no right candidate; leave them out"):
        rank_reranked(found, torch.tensor([0, 1, 2, 3, 4, 0, 5]))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_scores_of_nothing_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a text and an item at least.*give the whole matrix"):
        rerank(torch.zeros(shape), reader_of(torch.zeros(3, 3)), near_is="small", keep=2)


def test_a_first_score_that_is_not_finite_is_refused() -> None:
    scores_nm = torch.tensor([[torch.inf, 0.5]])
    with pytest.raises(ValueError, match=r"1 of 2 scores are not finite.*look at the embeddings"):
        rerank(scores_nm, reader_of(scores_nm), near_is="small", keep=1)


@pytest.mark.parametrize("name", ["keep", "pairs_at_once"])
def test_a_count_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; give 1 or more"):
        reranked(**{name: 0})


@pytest.mark.parametrize(
    ("match", "message"),
    [
        (lambda texts, items: torch.zeros(len(texts), 2), r"needs shape \(2,\), got \(2, 2\)"),
        (lambda texts, items: texts * 7.0, "got 0 to 7; give match_probability of the logits"),
        (lambda texts, items: texts * torch.nan, "got nan to nan; give match_probability"),
    ],
    ids=["logits", "above one", "not a number"],
)
def test_what_is_no_probability_is_refused(
    match: Callable[[Tensor, Tensor], Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rerank(torch.eye(2), match, near_is="large", keep=1)
