"""How sure a recall is: intervals by drawing clips anew, and whether two runs differ.

Captions of one clip stand and fall together, so whole clips are drawn (of a classification whose
queries are classes, classes). The gallery stays as it is: an interval is about other queries of
the same kind, in the same gallery.

Shape letters of this file: R records, G clusters, B resamples, V values of a record.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram.evaluation.retrieval import QueryPlaces

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
"""Share of the resamples that lies inside an interval."""

HELD = 2**22
"""Weights of clusters that are held at once."""


class PairedTest(NamedTuple):
    """How the recall of one run differs from that of another on the same queries.

    Attributes:
        difference: Second less first, in percentage points.
        interval: 95 % interval of the difference, from clips drawn anew, in pairs.
        p_value: Share of random swaps of the two runs, clip by clip, whose difference is as far
            from 0 as the one found; two-sided.
        clusters: Number of clips that were drawn from.
    """

    difference: float
    interval: Interval
    p_value: float
    clusters: int


def intervals(
    found: QueryPlaces, *, recall_at: Sequence[int], resamples: int, seed: int = 0
) -> dict[str, Interval]:
    """Give 95 % intervals of what ``summarize_places`` gives, under the same names.

    Args:
        found: The places, at least one.
        recall_at: The cut-offs K.
        resamples: How often the clips are drawn anew.
        seed: Decides the draws.
    """
    sums_gv, counts_g = _of_clusters(_values(found, recall_at), found.cluster_r.numpy())
    names = [*(f"R@{k}" for k in recall_at), "mean_rank"]
    means, medians = [], []
    median_of = _Medians(found)
    for weights_bg in _draws(len(counts_g), resamples=resamples, seed=seed):
        means.append(weights_bg @ sums_gv / (weights_bg @ counts_g)[:, None])
        medians.append(median_of(weights_bg))
    limits = _limits(np.concatenate(means))
    between = dict(zip(names, zip(*limits.tolist(), strict=True), strict=True))
    low, high = _limits(np.concatenate(medians)[:, None])[:, 0].tolist()
    return {**between, "median_rank": (low, high)}


def recall_interval(found: QueryPlaces, *, k: int, resamples: int, seed: int = 0) -> Interval:
    """Give the 95 % interval of Recall@K alone, that which ``intervals`` gives, much sooner."""
    hits_r1 = 100 * found.places.share_within(k).numpy()[:, None]
    sums_g1, counts_g = _of_clusters(hits_r1, found.cluster_r.numpy())
    draws = _draws(len(counts_g), resamples=resamples, seed=seed)
    means = [weights_bg @ sums_g1[:, 0] / (weights_bg @ counts_g) for weights_bg in draws]
    low, high = _limits(np.concatenate(means)[:, None])[:, 0].tolist()
    return low, high


def paired_test(
    first: QueryPlaces, second: QueryPlaces, *, k: int, resamples: int = 10_000, seed: int = 0
) -> PairedTest:
    """Compare Recall@K of two runs that were asked the same queries of galleries of one size.

    Args:
        first: Places by the one.
        second: Places by the other, record by record of the same query.
        k: The cut-off.
        resamples: Draws of clips, and random swaps.
        seed: Decides both.

    Raises:
        ValueError: If the records are not of the same queries.
    """
    same = len(first.query_r) == len(second.query_r) and bool(
        (first.query_r == second.query_r).all() and (first.cluster_r == second.cluster_r).all()
    )
    if not same or first.candidates != second.candidates:
        raise ValueError(
            f"the runs were not asked the same: {len(first.query_r)} queries of "
            f"{first.candidates} candidates and {len(second.query_r)} of {second.candidates}; "
            "compare runs with the same benchmark and protocol"
        )
    gained_r1 = (
        100 * (second.places.share_within(k) - first.places.share_within(k)).numpy()[:, None]
    )
    sums_g1, counts_g = _of_clusters(gained_r1, first.cluster_r.numpy())
    sums_g, total = sums_g1[:, 0], counts_g.sum()
    difference = float(sums_g.sum() / total)
    drawn, swapped, random = [], 0, np.random.default_rng([seed, 1])
    for weights_bg in _draws(len(counts_g), resamples=resamples, seed=seed):
        drawn.append(weights_bg @ sums_g / (weights_bg @ counts_g))
        signs_bg = random.integers(0, 2, weights_bg.shape, dtype=np.int8) * 2.0 - 1.0
        far = np.abs(signs_bg @ sums_g / total) >= abs(difference) - 1e-9
        swapped += int(far.sum())
    low, high = _limits(np.concatenate(drawn)[:, None])[:, 0].tolist()
    p_value = (swapped + 1) / (resamples + 1)  # the one found is one of the swaps
    return PairedTest(difference, (low, high), p_value, len(counts_g))


def _values(found: QueryPlaces, recall_at: Sequence[int]) -> Floats:
    """Give what is averaged of each record: hits in percent at each cut-off, and the place."""
    hits = [100 * found.places.share_within(k).numpy() for k in recall_at]
    return np.stack([*hits, found.places.mean_q.numpy()], axis=1)


def _of_clusters(values_rv: Floats, cluster_r: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Add up values and numbers of records of each cluster: (G, V) and (G,)."""
    _, number_r = np.unique(cluster_r, return_inverse=True)
    counts_g = np.bincount(number_r).astype(np.float64)
    columns = [np.bincount(number_r, weights=values_r) for values_r in values_rv.T]
    return np.stack(columns, axis=1), counts_g


def _draws(clusters: int, *, resamples: int, seed: int) -> Iterator[Floats]:
    """Give how often each cluster is drawn in each resample, (B, G), some resamples at a time."""
    random = np.random.default_rng(seed)
    step = max(1, HELD // clusters)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn_bg = random.integers(0, clusters, (size, clusters))
        drawn_bg += np.arange(size)[:, None] * clusters
        counted = np.bincount(drawn_bg.ravel(), minlength=size * clusters)
        yield counted.reshape(size, clusters).astype(np.float64)


def _limits(values_bv: Floats) -> Floats:
    """Give the lower and the upper limit of each column, shape (2, V)."""
    outside = (1 - LEVEL) / 2
    limits: Floats = np.quantile(values_bv, [outside, 1 - outside], axis=0)
    return limits


class _Medians:
    """The median place of records whose clusters have weights."""

    def __init__(self, found: QueryPlaces) -> None:
        """Sort the places once."""
        place_r = found.places.mean_q.numpy()
        order_r = np.argsort(place_r, kind="stable")
        _, number_r = np.unique(found.cluster_r.numpy(), return_inverse=True)
        self._place_r, self._number_r = place_r[order_r], number_r[order_r]

    def __call__(self, weights_bg: Floats) -> Floats:
        """Give the median of each resample, shape (B,): the mean of the two middle ones."""
        medians = np.empty(len(weights_bg))
        for number, weights_g in enumerate(weights_bg):
            reached_r = np.cumsum(weights_g[self._number_r])
            total = reached_r[-1]
            middle = [np.floor((total + 1) / 2), np.floor(total / 2) + 1]
            medians[number] = self._place_r[np.searchsorted(reached_r, middle)].mean()
        return medians
