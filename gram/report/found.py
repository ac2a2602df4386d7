"""What some queries find by one score in one direction: the worst failures, and a sample.

Shape letters of this file: R records, a query each; C candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gram.evaluation.fitted import Direction
from gram.evaluation.ranks import Places
from gram.evaluation.showcase import spaced


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One candidate that is shown for a query.

    Attributes:
        row: Its row among the clips, or among the texts.
        place: Its place in the ranking, 1 is nearest; of tied ones the first row comes first.
        score: Its score with the query; of a re-ranked score the log odds, or less if not read.
        is_right: Whether it is what the query asks for.
    """

    row: int
    place: int
    score: float
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query with the candidates that are nearest to it.

    Attributes:
        row: Its row among the texts, or among the clips.
        best: Place of the nearest right candidate if every tie goes to it, 1 is nearest.
        worst: Its place if no tie does.
        candidates: The nearest ones; the right one at the end if it is not among them.
    """

    row: int
    best: int
    worst: int
    candidates: tuple[Candidate, ...]

    @property
    def is_first(self) -> bool:
        """Whether a right candidate has the first place, and alone."""
        return self.worst == 1

    @property
    def rank(self) -> str:
        """The place, or the places that it may have where it ties: ``3 to 5``."""
        return str(self.best) if self.best == self.worst else f"{self.best} to {self.worst}"


def choose_records(places: Places, *, failures: int, others: int) -> list[int]:
    """Choose which queries are shown: the worst failures, and others evenly spaced over the rest.

    A failure is a query whose right candidate has not the first place alone.

    Args:
        places: Places of all queries.
        failures: Failures that are taken, those with the worst mean places; of equal ones the
            first. All where there are fewer.
        others: Other queries that are taken, whatever their place.

    Returns:
        Records, worst place first; of equal ones the first.

    Example:
        >>> import torch
        >>> places = Places(torch.tensor([1, 9, 1, 3]), torch.tensor([1, 9, 1, 4]))
        >>> choose_records(places, failures=1, others=2)
        [1, 3, 0]
    """
    mean_r = places.mean_q.numpy()
    failed_r = (places.worst_q > 1).numpy()
    order = np.argsort(-mean_r, kind="stable")
    worst = order[failed_r[order]][:failures]
    rest = np.setdiff1d(np.arange(len(mean_r)), worst)
    sample = rest[spaced(others, total=len(rest))] if others and len(rest) else rest[:0]
    taken = np.sort(np.concatenate([worst, sample]))
    return [int(one) for one in taken[np.argsort(-mean_r[taken], kind="stable")]]


def find_queries(
    direction: Direction, places: Places, *, query_rows: Tensor, records: Sequence[int], count: int
) -> tuple[Query, ...]:
    """Rank all candidates for some queries, one at a time.

    Args:
        direction: The score, one way.
        places: Places of all records.
        query_rows: Which query of ``direction`` each record is, int64, shape (R,).
        records: The records that are wanted.
        count: Candidates shown a query.
    """
    found = []
    for record in records:
        number = int(query_rows[record])
        scores_c = direction.scores_of(slice(number, number + 1))[0]
        right_c = direction.candidate_group_c == direction.query_group_q[number]
        found.append(
            Query(
                row=number,
                best=int(places.best_q[record]),
                worst=int(places.worst_q[record]),
                candidates=_candidates(
                    scores_c, right_c, is_descending=direction.near_is == "large", count=count
                ),
            )
        )
    return tuple(found)


def _candidates(
    scores_c: Tensor, right_c: Tensor, *, is_descending: bool, count: int
) -> tuple[Candidate, ...]:
    order_c = scores_c.argsort(stable=True, descending=is_descending)
    nearest_right = int(right_c[order_c].nonzero()[0, 0])
    shown: NDArray[np.int64] = np.arange(min(count, len(order_c)))
    if not bool(right_c[order_c[: len(shown)]].any()):
        shown = np.append(shown, nearest_right)
    return tuple(
        Candidate(
            row=row,
            place=place + 1,
            score=float(scores_c[row]),
            is_right=bool(right_c[row]),
        )
        for place, row in ((int(place), int(order_c[place])) for place in shown)
    )
