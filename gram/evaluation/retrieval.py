"""Retrieval in both directions: places of the right candidates, and what they come to.

Text to item: every text is a query; right are the clips of its group, which in retrieval is its one
clip. Item to text: every clip that has a text is a query; all its texts are right, and the nearest
of them counts. Clips without a text stay candidates.

Shape letters of this file: Q queries, R records, a query each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gram.evaluation.fitted import FittedScore, directions, places_of
from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import CHUNK_SCORES, Places


@dataclass(frozen=True, kw_only=True)
class QueryPlaces:
    """Places of the right candidates in one direction, one record a query.

    Attributes:
        places: The places, with ties.
        query_r: Row of each query among the texts, or among the clips, int64, shape (R,). A query
            that was asked in several galleries has several records.
        cluster_r: What is drawn as a whole when queries are drawn anew, int64, shape (R,): the
            clip of a query, or the class if the query is one.
        candidates: Number of candidates that were ranked, the largest of all galleries.
    """

    places: Places
    query_r: Tensor
    cluster_r: Tensor
    candidates: int

    def best_of_clusters(self) -> "QueryPlaces":
        """Give one record a cluster: its query with the nearest right candidate, the first one."""
        order_r = torch.argsort(self.places.mean_q, stable=True)
        _, number_r = torch.unique(self.cluster_r[order_r], return_inverse=True)
        first_g = torch.full((int(number_r.max()) + 1,), len(order_r))
        first_g = first_g.scatter_reduce(0, number_r, torch.arange(len(order_r)), "amin")
        kept = order_r[first_g]
        return QueryPlaces(
            places=Places(self.places.best_q[kept], self.places.worst_q[kept]),
            query_r=self.query_r[kept],
            cluster_r=self.cluster_r[kept],
            candidates=self.candidates,
        )


@dataclass(frozen=True, kw_only=True)
class RetrievalPlaces:
    """Places of the right candidates in both directions.

    Attributes:
        text_to_item: For every text the place of its nearest right clip.
        item_to_text: For every clip that has a text, in order of the clips, the place of the
            nearest one.
    """

    text_to_item: QueryPlaces
    item_to_text: QueryPlaces

    def with_rows(self, text_rows: Tensor, clip_rows: Tensor) -> "RetrievalPlaces":
        """Name queries by their rows in the whole of which this is a part.

        Args:
            text_rows: Row there of each text here.
            clip_rows: Row there of each clip here.
        """
        to_item, to_text = self.text_to_item, self.item_to_text
        asked = clip_rows[to_text.query_r]
        return RetrievalPlaces(
            text_to_item=replace(to_item, query_r=text_rows[to_item.query_r]),
            item_to_text=replace(to_text, query_r=asked, cluster_r=asked),
        )


def joined(parts: Sequence[RetrievalPlaces]) -> RetrievalPlaces:
    """Put the records of several galleries together."""

    def of_direction(found: Sequence[QueryPlaces]) -> QueryPlaces:
        return QueryPlaces(
            places=Places(
                torch.cat([one.places.best_q for one in found]),
                torch.cat([one.places.worst_q for one in found]),
            ),
            query_r=torch.cat([one.query_r for one in found]),
            cluster_r=torch.cat([one.cluster_r for one in found]),
            candidates=max(one.candidates for one in found),
        )

    return RetrievalPlaces(
        text_to_item=of_direction([one.text_to_item for one in parts]),
        item_to_text=of_direction([one.item_to_text for one in parts]),
    )


def rank_retrieval(
    score: FittedScore, ranked: RankedSet, *, chunk_scores: int = CHUNK_SCORES
) -> RetrievalPlaces:
    """Rank clips for every text, and texts for every clip.

    Args:
        score: What ranks; ``plain_score`` gives one in which nothing is fitted.
        ranked: Texts and clips.
        chunk_scores: Scores that are held at once; more is faster, the places are the same.

    Raises:
        ValueError: If a score is not finite or needs a modality that is not there.
    """
    both = directions(score, ranked, chunk_scores=chunk_scores)
    return RetrievalPlaces(
        text_to_item=QueryPlaces(
            places=places_of(both.text_to_item, chunk_scores=chunk_scores),
            query_r=torch.arange(len(ranked.text_qd)),
            cluster_r=ranked.text_group_q,
            candidates=len(ranked.vectors_nkd),
        ),
        item_to_text=QueryPlaces(
            places=places_of(both.item_to_text, chunk_scores=chunk_scores),
            query_r=both.asked_n,
            cluster_r=both.asked_n,
            candidates=len(ranked.text_qd),
        ),
    )


def summarize_places(places: Places, *, recall_at: Sequence[int]) -> dict[str, float]:
    """Give Recall@K in percent, and the median and the mean rank.

    A query whose right candidate ties counts with the share of orders in which it is found; its
    rank is the mean of its places. A K larger than the number of candidates counts every query.

    Args:
        places: The places of the right candidates.
        recall_at: The cut-offs K.

    Raises:
        ValueError: If there are no places.

    Example:
        >>> places_q = torch.tensor([1, 1, 4, 30])
        >>> summarize_places(Places(places_q, places_q), recall_at=(1, 5))
        {'R@1': 50.0, 'R@5': 75.0, 'median_rank': 2.5, 'mean_rank': 9.0}
    """
    if not len(places.best_q):
        raise ValueError("there are no places to summarize; the benchmark has no queries")
    summary = {f"R@{k}": 100.0 * places.share_within(k).mean().item() for k in recall_at}
    summary["median_rank"] = float(np.median(places.mean_q.numpy()))
    summary["mean_rank"] = places.mean_q.mean().item()
    return summary
