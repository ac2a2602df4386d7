"""Places of the right candidate of every query, in chunks that fit in memory.

Tie rule: a right candidate that ties with t others, behind n that are strictly nearer, may stand
on any of the places n + 1 to n + 1 + t. Recalls and mean ranks are the means over these places,
that is over all orders of the tied. So neither the order of the gallery nor luck decides, and a
model that gives one score to everything gets what chance gets. Scores within ``TIE`` of each other
tie: the last bits of a float32 sum, which change with the size of a chunk, decide no place.

Several right candidates: the nearest of them counts; the others neither push it back nor tie.

Shape letters of this file: Q queries, C candidates.
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

COMPARED_SCORES = 2**22
"""Scores that are compared, or put in order, at once: 16 MiB as float32, and a few times that."""


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
    bad = int((~right_qc.any(dim=1)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {len(right_qc)} queries have no right candidate; leave them out"
        )
    bad = int((~scores_qc.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{bad} of {scores_qc.numel()} scores are not finite and cannot be ranked; "
            "look at the embeddings"
        )
    distance_qc = scores_qc if near_is == "small" else -scores_qc
    right_q1 = distance_qc.masked_fill(~right_qc, torch.inf).amin(dim=1, keepdim=True)
    farther_qc = (distance_qc - right_q1).masked_fill(right_qc, torch.inf)
    best_q = 1 + (farther_qc < -TIE).sum(dim=1)
    tied_q = (farther_qc.abs() <= TIE).sum(dim=1)
    return Places(best_q, best_q + tied_q)


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
    none = torch.zeros(0, dtype=torch.int64)
    found = [Places(none, none)]
    for start in range(0, len(query_clip_q), step):
        chunk = slice(start, start + step)
        scores_qc = score_chunk(chunk)
        for piece in row_pieces(scores_qc):
            right_qc = query_clip_q[chunk][piece, None] == candidate_clip_c
            found.append(rank_right(scores_qc[piece], right_qc, near_is=near_is))
    return Places(
        torch.cat([places.best_q for places in found]),
        torch.cat([places.worst_q for places in found]),
    )


def row_pieces(scores_qc: Tensor) -> Iterator[slice]:
    """Give the rows of scores piece by piece, each of ``COMPARED_SCORES`` or one row at least."""
    step = max(1, COMPARED_SCORES // max(1, scores_qc.shape[1]))
    for start in range(0, len(scores_qc), step):
        yield slice(start, start + step)
