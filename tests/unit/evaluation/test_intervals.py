"""Intervals and paired tests, against numbers that are known another way."""

import math

import numpy as np
import pytest
import torch

from gram.evaluation.intervals import intervals, paired_test, recall_interval
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import QueryPlaces, summarize_places


def found(places: list[int], *, per_clip: int = 1, candidates: int = 100) -> QueryPlaces:
    place_r = torch.tensor(places)
    rows = torch.arange(len(places))
    return QueryPlaces(
        places=Places(place_r, place_r),
        query_r=rows,
        cluster_r=rows // per_clip,
        candidates=candidates,
    )


def test_an_interval_of_a_share_is_that_of_the_binomial() -> None:
    ones = found([1] * 160 + [9] * 240)
    low, high = intervals(ones, recall_at=(1,), resamples=4000)["R@1"]
    half = 196 * math.sqrt(0.4 * 0.6 / 400)
    assert (low, high) == (pytest.approx(40 - half, abs=0.6), pytest.approx(40 + half, abs=0.6))


def test_an_interval_has_the_names_of_a_summary_and_holds_it() -> None:
    random = np.random.default_rng(0)
    drawn = found(random.integers(1, 60, 300).tolist())
    summary = summarize_places(drawn.places, recall_at=(1, 5, 10))
    limits = intervals(drawn, recall_at=(1, 5, 10), resamples=500)
    assert limits.keys() == summary.keys()
    assert all(limits[name][0] <= value <= limits[name][1] for name, value in summary.items())


def test_captions_of_one_clip_are_drawn_together() -> None:
    # Ten captions of a clip that all say the same are worth one.
    clips = [1] * 20 + [9] * 30
    alone = intervals(found(clips), recall_at=(1,), resamples=2000)["R@1"]
    tenfold = found([place for place in clips for _ in range(10)], per_clip=10)
    together = intervals(tenfold, recall_at=(1,), resamples=2000)["R@1"]
    assert together == pytest.approx(alone, abs=1e-9)


def test_the_interval_of_one_recall_is_that_among_all() -> None:
    random = np.random.default_rng(1)
    drawn = found(random.integers(1, 60, 300).tolist(), per_clip=3)
    every = intervals(drawn, recall_at=(1, 5), resamples=500)
    assert recall_interval(drawn, k=5, resamples=500) == pytest.approx(every["R@5"], abs=1e-9)


def test_the_same_seed_draws_the_same_clips() -> None:
    one, other = (intervals(found([1, 2, 3, 9]), recall_at=(1,), resamples=100) for _ in range(2))
    assert one == other


def test_the_median_of_an_interval_is_that_of_the_drawn_queries() -> None:
    limits = intervals(found([4] * 50), recall_at=(1,), resamples=100)
    assert limits["median_rank"] == (4.0, 4.0)


def test_a_run_does_not_differ_from_itself() -> None:
    one = found([1, 5, 1, 9, 2])
    test = paired_test(one, one, k=1, resamples=500)
    assert (test.difference, test.interval, test.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_the_p_value_is_that_of_the_sign_test() -> None:
    # Nine clips are won, one is lost; of 2^10 swaps 22 are as far from 0.
    first, second = found([2] * 9 + [1] + [1] * 40), found([1] * 9 + [2] + [1] * 40)
    test = paired_test(first, second, k=1, resamples=20_000)
    assert test.difference == pytest.approx(16.0)
    assert test.p_value == pytest.approx(22 / 1024, abs=0.004)
    assert test.interval[0] > 0


def test_a_difference_is_second_less_first() -> None:
    assert paired_test(found([1, 1]), found([1, 2]), k=1, resamples=100).difference == -50.0


@pytest.mark.parametrize(
    "other", [found([1, 2, 3]), found([1, 2], candidates=50)], ids=["queries", "gallery"]
)
def test_runs_that_were_not_asked_the_same_are_refused(other: QueryPlaces) -> None:
    with pytest.raises(ValueError, match="the runs were not asked the same: 2 queries of 100"):
        paired_test(found([1, 2]), other, k=1)
