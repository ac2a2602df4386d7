"""Places of the right candidate of every query, in chunks that fit in memory.

Tie rule: a right candidate that ties with t others, behind n that are strictly nearer, may stand
on any of the places n + 1 to n + 1 + t. Recalls and mean ranks are the means over these places,
that is over all orders of the tied. So neither the order of the gallery nor luck decides, and a
model that gives one score to everything gets what chance gets. Scores within ``TIE`` of each other
tie: the last bits of a float32 sum, which change with the size of a chunk, decide no place.

Several right candidates: the nearest of them counts; the others neither push it back nor tie.

Shape letters of this file: Q queries, C candidates, P right pairs.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gram.evaluation.scores import NearIs

TIE = 1e-6
"""Largest difference of two scores that tie, unitless: a few roundings of a float32 near 1."""

CHUNK_SCORES = 2**27
"""Scores that are computed at once: 512 MiB as float32. Of few queries, the work that is done once
for each candidate, such as its basis, would be the larger part: in a gallery of 100,000 there are
1,300 of them in a chunk."""

COMPARED_SCORES = 2**18
"""Scores that are compared, or put in order, at once: 1 MiB as float32, which a core's cache holds
with the two copies that comparing takes."""

COUNTED_EXACTLY = 2**24
"""Candidates up to which a float32 counts them exactly."""


class Places(NamedTuple):
    """Places of the right candidates; 1 is nearest. Without ties best and worst are the same.

    Attributes:
        best_q: The place when every tie goes to the right candidate, int64, shape (Q,).
        worst_q: The place when no tie does, int64, shape (Q,).
    """

    best_q: Tensor
    worst_q: Tensor

    @property
    def mean_q(self) -> Tensor:
        """The mean place over all orders of the tied, float64, shape (Q,)."""
        return (self.best_q + self.worst_q).double() / 2

    @property
    def ties_won(self) -> "Places":
        """The places when every tie goes to the right candidate, as others often count."""
        return Places(self.best_q, self.best_q)

    def share_within(self, k: int) -> Tensor:
        """Give the share of all orders in which the place is among the first K.

        Args:
            k: The cut-off, from 1 on.

        Returns:
            Shares, float64, shape (Q,), in [0, 1]; 0 or 1 where nothing ties.
        """
        places_q = (self.worst_q - self.best_q + 1).double()
        return ((k - self.best_q + 1) / places_q).clamp(0, 1)


class RightPairs(NamedTuple):
    """Every query with each of its right candidates, in order of the queries.

    Attributes:
        query_p: Rows of the queries, int64, shape (P,).
        candidate_p: Columns of the candidates, int64, shape (P,).
    """

    query_p: Tensor
    candidate_p: Tensor

    def of_queries(self, rows: slice) -> "RightPairs":
        """Give those of some queries, counted from the first of them on."""
        ends = torch.searchsorted(self.query_p, self.query_p.new_tensor([rows.start, rows.stop]))
        pairs = slice(*ends.tolist())
        return RightPairs(self.query_p[pairs] - rows.start, self.candidate_p[pairs])


def right_pairs(query_group_q: Tensor, candidate_group_c: Tensor) -> RightPairs:
    """List all pairs of a query and a candidate of one group.

    Args:
        query_group_q: Group of every query, int64, shape (Q,).
        candidate_group_c: Group of every candidate, int64, shape (C,).

    Example:
        >>> right_pairs(torch.tensor([7, 9]), torch.tensor([9, 7, 9])).candidate_p
        tensor([1, 0, 2])
    """
    sorted_c, order_c = candidate_group_c.sort(stable=True)
    first_q = torch.searchsorted(sorted_c, query_group_q)
    count_q = torch.searchsorted(sorted_c, query_group_q, right=True) - first_q
    query_p = torch.arange(len(count_q)).repeat_interleave(count_q)
    skipped_q = first_q - (count_q.cumsum(0) - count_q)
    return RightPairs(query_p, order_c[torch.arange(len(query_p)) + skipped_q[query_p]])


def rank_right(scores_qc: Tensor, right_qc: Tensor, *, near_is: NearIs) -> Places:
    """Find the places of the nearest right candidate of every query.

    Args:
        scores_qc: Scores, float, shape (Q, C).
        right_qc: True where a candidate is right, bool, shape (Q, C).
        near_is: Which end of the scores is near.

    Returns:
        The places, with ties as the module says.

    Raises:
        ValueError: If the shapes differ, a query has no right candidate, or a score is not finite.

    Example:
        >>> scores_qc = torch.tensor([[0.9, 0.2, 0.5, 0.5]])
        >>> rank_right(scores_qc, torch.tensor([[False, False, True, False]]), near_is="small")
        Places(best_q=tensor([2]), worst_q=tensor([3]))
    """
    if scores_qc.ndim != 2 or scores_qc.shape != right_qc.shape:
        raise ValueError(
            f"scores and right need one shape (Q, C), got {tuple(scores_qc.shape)} and "
            f"{tuple(right_qc.shape)}"
        )
    return rank_pairs(scores_qc, RightPairs(*right_qc.nonzero().unbind(dim=1)), near_is=near_is)


def rank_pairs(scores_qc: Tensor, right: RightPairs, *, near_is: NearIs) -> Places:
    """Find the places of the nearest right candidate of every query, from the pairs that are right.

    Args:
        scores_qc: Scores, float, shape (Q, C).
        right: Which pairs are right.
        near_is: Which end of the scores is near.

    Returns:
        The places, with ties as the module says.

    Raises:
        ValueError: If a query has no right candidate, or a score is not finite.
    """
    query_p, right_p = right.query_p, scores_qc[right.query_p, right.candidate_p]
    _check_right(query_p, queries=len(scores_qc))
    _check_finite(scores_qc)
    sign = 1 if near_is == "small" else -1
    nearest_q = scores_qc.new_full((len(scores_qc),), torch.inf)
    nearest_q.scatter_reduce_(0, query_p, sign * right_p, "amin")
    farther_qc = torch.sub(scores_qc, sign * nearest_q.unsqueeze(1)).mul_(sign)
    # Written as numbers: a sum of those is several times faster than one of truth values.
    compared_qc = torch.empty_like(farther_qc)
    exact = torch.float64 if scores_qc.shape[1] > COUNTED_EXACTLY else farther_qc.dtype
    nearer_q = torch.lt(farther_qc, -TIE, out=compared_qc).sum(dim=1, dtype=exact).long()
    within_q = torch.le(farther_qc, TIE, out=compared_qc).sum(dim=1, dtype=exact).long()
    also_p = (sign * right_p - nearest_q[query_p] <= TIE).long()
    within_q.scatter_add_(0, query_p, -also_p)
    return Places(1 + nearer_q, 1 + within_q)


def _check_right(query_p: Tensor, *, queries: int) -> None:
    has_right_q = torch.zeros(queries, dtype=torch.bool, device=query_p.device)
    has_right_q[query_p] = True
    bad = queries - int(has_right_q.sum())
    if bad:
        raise ValueError(f"{bad} of {queries} queries have no right candidate; leave them out")


def _check_finite(scores_qc: Tensor) -> None:
    """Check sums, which are not finite if a score is not; only then each score."""
    if bool(scores_qc.sum(dim=1).isfinite().all()):
        return
    bad = int((~scores_qc.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{bad} of {scores_qc.numel()} scores are not finite and cannot be ranked; "
            "look at the embeddings"
        )


def rank_in_chunks(
    score_chunk: Callable[[slice], Tensor],
    query_clip_q: Tensor,
    *,
    candidate_clip_c: Tensor,
    near_is: NearIs,
    chunk_scores: int = CHUNK_SCORES,
) -> Places:
    """Find the places of the right candidate of every query without ever holding all scores.

    A candidate is right when it belongs to the clip of the query.

    Args:
        score_chunk: Gives the scores of some queries with all candidates, float, shape (q, C).
        query_clip_q: Clip of every query, int64, shape (Q,).
        candidate_clip_c: Clip of every candidate, int64, shape (C,).
        near_is: Which end of the scores is near.
        chunk_scores: Scores that are held at once; one query's at least.

    Returns:
        The places, with ties as the module says; none for no queries.

    Raises:
        ValueError: As ``rank_right``.
    """
    step = max(1, chunk_scores // max(1, len(candidate_clip_c)))
    right = right_pairs(query_clip_q, candidate_clip_c)
    # Written into one piece of memory: small results between large chunks would fragment it.
    found = Places(*torch.zeros(2, len(query_clip_q), dtype=torch.int64))
    for start in range(0, len(query_clip_q), step):
        scores_qc = score_chunk(slice(start, start + step))
        for piece in row_pieces(scores_qc):
            rows = slice(start + piece.start, start + piece.stop)
            places = rank_pairs(scores_qc[piece], right.of_queries(rows), near_is=near_is)
            found.best_q[rows], found.worst_q[rows] = places
        del scores_qc  # before the next ones are computed
    return found


def row_pieces(scores_qc: Tensor) -> Iterator[slice]:
    """Give the rows of scores piece by piece, each of ``COMPARED_SCORES`` or one row at least."""
    step = max(1, COMPARED_SCORES // max(1, scores_qc.shape[1]))
    for start in range(0, len(scores_qc), step):
        yield slice(start, min(start + step, len(scores_qc)))
