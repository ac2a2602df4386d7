"""Which queries are shown, and what is shown of them."""

from collections.abc import Callable

import pytest
import torch

from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.fitted import directions, plain_score
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import rank_retrieval
from gram.report.found import Query, choose_records, find_queries

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


def places_at(*places: int) -> Places:
    return Places(torch.tensor(places), torch.tensor(places))


def found_by(
    embeddings: BenchmarkEmbeddings, way: str, *, count: int, score: str = "volume"
) -> tuple[Query, ...]:
    plain = plain_score(score)
    asked = getattr(rank_retrieval(plain, embeddings.ranked), way)
    both = directions(plain, embeddings.ranked)
    rows = asked.query_r
    return find_queries(
        getattr(both, way),
        asked.places,
        query_rows=rows,
        records=list(range(len(rows))),
        count=count,
    )


def test_the_worst_failures_come_first() -> None:
    assert choose_records(places_at(3, 1, 9, 2, 7), failures=3, others=0) == [2, 4, 0]


def test_of_equal_places_the_first_comes_first() -> None:
    assert choose_records(places_at(5, 1, 5, 5), failures=2, others=0) == [0, 2]


def test_who_is_first_and_alone_is_no_failure() -> None:
    ties = Places(torch.tensor([1, 1]), torch.tensor([1, 2]))
    assert choose_records(ties, failures=9, others=0) == [1]


def test_others_are_evenly_spaced_over_the_rest_whatever_their_place() -> None:
    places = places_at(*range(11, 0, -1))  # the worst are 0 and 1; the rest 2 to 10
    assert choose_records(places, failures=2, others=3) == [0, 1, 2, 6, 10]


def test_no_query_is_taken_twice() -> None:
    assert sorted(choose_records(places_at(4, 3, 2, 1), failures=9, others=9)) == [0, 1, 2, 3]


def test_none_are_taken_if_none_are_wanted() -> None:
    assert choose_records(places_at(4, 3), failures=0, others=0) == []


def test_the_nearest_are_shown_in_order(make_embeddings: MakeEmbeddings) -> None:
    for query in found_by(make_embeddings(noise=1.5), "text_to_item", count=4):
        nearest = query.candidates[:4]
        assert [one.place for one in nearest] == [1, 2, 3, 4]
        assert [one.score for one in nearest] == sorted(one.score for one in nearest)


@pytest.mark.parametrize("way", ["text_to_item", "item_to_text"])
def test_the_right_one_is_always_shown(make_embeddings: MakeEmbeddings, way: str) -> None:
    found = found_by(make_embeddings(noise=3.0), way, count=2)
    assert any(len(query.candidates) == 3 for query in found)
    for query in found:
        (right,) = [one for one in query.candidates if one.is_right]
        assert right.row == query.row
        assert query.best <= right.place <= query.worst


def test_of_several_right_ones_the_nearest_is_shown(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(noise=3.0, captions=3)
    found = found_by(embeddings, "item_to_text", count=1, score="cosine_video")
    for query in found:
        rights = [one for one in query.candidates if one.is_right]
        assert len(rights) == 1
        assert int(embeddings.text_group_q[rights[0].row]) == query.row
        assert rights[0].place == query.best


def test_a_candidate_s_score_is_that_of_the_pair(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings()
    cosine_qn = embeddings.text_qd @ embeddings.vectors_nkd[:, 0].T
    for query in found_by(embeddings, "text_to_item", count=3, score="cosine_video"):
        for one in query.candidates:
            assert one.score == pytest.approx(float(cosine_qn[query.row, one.row]), abs=1e-6)


def test_a_tie_is_told(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(noise=0.1)
    for vectors_nd in embeddings.vectors_nd.values():
        vectors_nd[1] = vectors_nd[0]
    query = found_by(embeddings, "text_to_item", count=3)[0]
    assert (query.rank, query.is_first) == ("1 to 2", False)
