"""Re-ranking: the best candidates of a first score, read pair by pair, in order of their match.

A first score (volume, cosine) compares vectors that were computed apart. A matching head reads a
text and an item together, which is slower by far, so it reads the K best candidates of every query
only. Those come first, in order of their match probability. All others follow in order of the first
score: they neither tie nor mix with what was read. (The released code leaves them all at 0.)

The K best are marked for each direction apart: from text to item the K best items of every text,
from item to text the K best texts of every item. A pair that both directions mark is read once.

Shape letters of this file: N texts, M items, Q queries, C candidates, P pairs, K best.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gram.evaluation.fitted import Direction, FittedScore, directions, places_of
from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import CHUNK_SCORES, rank_right, row_pieces
from gram.evaluation.retrieval import QueryPlaces, RetrievalPlaces
from gram.evaluation.scores import NearIs

Match = Callable[[Tensor, Tensor], Tensor]
"""Reads pairs: row of the text and row of the item of each, int64, shape (P,), on the device of the
scores -> probability that they match, float, shape (P,), in [0, 1]; large is near."""

PAIRS_AT_ONCE = 64
"""Pairs that are read in one call: each holds a copy of its item's condition tokens."""

READ_SCORES = 2**24
"""Scores that are held at once behind what was read: 128 MiB as float64, and some times that."""

SMALLEST_PROBABILITY = 1e-12
"""Probabilities below it rank as it does, those as near to 1 likewise."""

LARGEST_LOG_ODDS = -math.log(SMALLEST_PROBABILITY)


class Reranked(NamedTuple):
    """Similarities of texts and items after re-ranking, for either direction; large is near.

    What was read holds its match probability, in [0, 1]. What was not is -1 or less and keeps the
    order of the first score.

    Attributes:
        items_of_text_nm: To rank along rows: the K best items of every text were read. float32
            (float64 if the first score is), shape (N, M).
        texts_of_item_nm: To rank along columns: the K best texts of every item were read. Same
            type, shape (N, M).
    """

    items_of_text_nm: Tensor
    texts_of_item_nm: Tensor


class Matches(NamedTuple):
    """What the matching head said of the best pairs of a first score, in either direction.

    Attributes:
        text_to_item: Of every text its best items.
        item_to_text: Of every item that is a query its best texts.
    """

    text_to_item: "BestPairs"
    item_to_text: "BestPairs"


class BestPairs(NamedTuple):
    """The best candidates of every query, by number, in any order.

    Attributes:
        candidate_qk: The candidates, int64, shape (Q, K).
        probability_qk: Probability that they match, float32, shape (Q, K), in [0, 1].
    """

    candidate_qk: Tensor
    probability_qk: Tensor


def match_probability(logits_p2: Tensor) -> Tensor:
    """Give the probability of a match: softmax of logits (no match, match), float32, shape (P,).

    Example:
        >>> match_probability(torch.tensor([[0.0, 0.0], [-9.0, 9.0]]))
        tensor([0.5000, 1.0000])
    """
    return logits_p2.float().softmax(dim=1)[:, 1]


def best_candidates(direction: Direction, *, keep: int, chunk_scores: int = CHUNK_SCORES) -> Tensor:
    """Find the K nearest candidates of every query by a first score.

    Args:
        direction: The first score, one way.
        keep: K, at least 1; all candidates where there are fewer.
        chunk_scores: Scores that are held at once; one query's at least.

    Returns:
        Candidates, nearest first and of equal ones the first, int64, shape (Q, K).

    Raises:
        ValueError: If a score is not finite, or there are no queries.
    """
    step = max(1, chunk_scores // max(1, len(direction.candidate_group_c)))
    parts = []
    for start in range(0, len(direction.query_group_q), step):
        scores_qc = direction.scores_of(slice(start, start + step))
        _check(scores_qc, keep=keep, pairs_at_once=1)
        parts += [
            _order(scores_qc[piece], near_is=direction.near_is)[:, :keep]
            for piece in row_pieces(scores_qc)
        ]
    if not parts:
        raise ValueError("there are no queries to re-rank; the benchmark has no texts")
    return torch.cat(parts)


def rank_matched(score: FittedScore, ranked: RankedSet, matches: Matches) -> RetrievalPlaces:
    """Find the places of the right candidates where the matching head read the best ones.

    Args:
        score: The first score, which orders what was not read, behind what was.
        ranked: Texts and clips.
        matches: What was read.

    Raises:
        ValueError: If the matches are of other queries.
    """
    both = directions(score, ranked)
    to_item = after_reading(both.text_to_item, matches.text_to_item)
    to_text = after_reading(both.item_to_text, matches.item_to_text)
    return RetrievalPlaces(
        text_to_item=QueryPlaces(
            places=places_of(to_item, chunk_scores=READ_SCORES),
            query_r=torch.arange(len(ranked.text_qd)),
            cluster_r=ranked.text_group_q,
            candidates=len(ranked.vectors_nkd),
        ),
        item_to_text=QueryPlaces(
            places=places_of(to_text, chunk_scores=READ_SCORES),
            query_r=both.asked_n,
            cluster_r=both.asked_n,
            candidates=len(ranked.text_qd),
        ),
    )


def after_reading(first: Direction, read: BestPairs) -> Direction:
    """Put what was read before the rest, by its probability.

    Args:
        first: The first score, one way.
        read: What was read of its best candidates.

    Returns:
        Scores of which the large end is near: log odds of a match where a pair was read, at least
        ``-LARGEST_LOG_ODDS``, and less than that, in the order of the first score, where not.

    Raises:
        ValueError: If the pairs are of another number of queries.
    """
    queries = len(first.query_group_q)
    if len(read.candidate_qk) != queries:
        raise ValueError(
            f"pairs of {len(read.candidate_qk)} queries were read, and there are {queries}; read "
            "them again"
        )

    def scores_of(chunk: slice) -> Tensor:
        scores_qc = first.scores_of(chunk).double()
        similarity_qc = behind(scores_qc, near_is=first.near_is)
        candidates_qk = read.candidate_qk[chunk]
        similarity_qc.scatter_(1, candidates_qk, read.probability_qk[chunk].double())
        return _stretched(similarity_qc)

    return first._replace(scores_of=scores_of, near_is="large")


def behind(scores: Tensor, *, near_is: NearIs) -> Tensor:
    """Give similarities of -1 or less, in the order of a first score: for what was not read."""
    distance = scores if near_is == "small" else -scores
    return distance.min() - distance - 1


def mark_best(scores_qc: Tensor, *, near_is: NearIs, keep: int) -> Tensor:
    """Mark the K nearest candidates of every query.

    Args:
        scores_qc: Scores, float, shape (Q, C).
        near_is: Which end of the scores is near.
        keep: K, at least 1; all candidates where there are fewer. Of candidates with equal scores
            the first ones are marked.

    Returns:
        True where a candidate is marked, bool, shape (Q, C).

    Example:
        >>> mark_best(torch.tensor([[0.3, 0.1, 0.2]]), near_is="small", keep=2)
        tensor([[False,  True,  True]])
    """
    order_qc = _order(scores_qc, near_is=near_is)
    marked_qc = torch.zeros_like(scores_qc, dtype=torch.bool)
    return marked_qc.scatter_(1, order_qc[:, :keep], value=True)


def _order(scores_qc: Tensor, *, near_is: NearIs) -> Tensor:
    return scores_qc.argsort(dim=1, descending=near_is == "large", stable=True)


def rerank(
    scores_nm: Tensor,
    match: Match,
    *,
    near_is: NearIs,
    keep: int,
    pairs_at_once: int = PAIRS_AT_ONCE,
) -> Reranked:
    """Read the best pairs of a first score, for both directions.

    Args:
        scores_nm: First score of every text with every item, float, shape (N, M), on any device.
        match: Reads pairs.
        near_is: Which end of the first score is near.
        keep: K, how many candidates of every query are read; all of them where there are fewer.
        pairs_at_once: Pairs given to ``match`` at once; it changes speed and memory only.

    Raises:
        ValueError: If a first score is not finite or there is none, ``keep`` or ``pairs_at_once``
            is below 1, or ``match`` gives another number of values or one outside [0, 1].

    Example:
        >>> reads = lambda texts, items: (texts == items).float()
        >>> volume_nm = torch.tensor([[0.2, 0.1, 0.9], [0.3, 0.5, 0.4], [0.8, 0.7, 0.6]])
        >>> rerank(volume_nm, reads, near_is="small", keep=2).items_of_text_nm
        tensor([[ 1.0000,  0.0000, -1.8000],
                [ 0.0000, -1.4000,  0.0000],
                [-1.7000,  0.0000,  1.0000]])
    """
    _check(scores_nm, keep=keep, pairs_at_once=pairs_at_once)
    scores_nm = scores_nm.to(torch.promote_types(scores_nm.dtype, torch.float32))
    for_text_nm = mark_best(scores_nm, near_is=near_is, keep=keep)
    for_item_nm = mark_best(scores_nm.mT, near_is=near_is, keep=keep).mT
    behind_nm = behind(scores_nm, near_is=near_is)
    read_nm = torch.zeros_like(scores_nm)
    pairs_p2 = (for_text_nm | for_item_nm).nonzero()
    read_p = read_pairs(pairs_p2, match, pairs_at_once=pairs_at_once)
    read_nm[tuple(pairs_p2.unbind(dim=1))] = read_p.to(read_nm)
    return Reranked(
        items_of_text_nm=torch.where(for_text_nm, read_nm, behind_nm),
        texts_of_item_nm=torch.where(for_item_nm, read_nm, behind_nm),
    )


def rank_reranked(reranked: Reranked, text_item_n: Tensor) -> RetrievalPlaces:
    """Find the places of the right candidates after re-ranking; see ``rank_right`` for ties.

    Args:
        reranked: What ``rerank`` gave.
        text_item_n: Row of the item that each text describes, int64, shape (N,). An item may have
            several texts, of which the nearest counts, or none: then it is no query.

    Returns:
        The places in both directions, on the CPU.

    Raises:
        ValueError: If a text describes no item of the gallery.
    """
    forward_nm, backward_nm = (_stretched(similarity_nm.cpu()) for similarity_nm in reranked)
    text_item_n = text_item_n.cpu()
    right_nm = text_item_n.unsqueeze(1) == torch.arange(forward_nm.shape[1])
    asked_m = right_nm.any(dim=0)
    asked = asked_m.nonzero().flatten()
    return RetrievalPlaces(
        text_to_item=QueryPlaces(
            places=rank_right(forward_nm, right_nm, near_is="large"),
            query_r=torch.arange(len(text_item_n)),
            cluster_r=text_item_n,
            candidates=forward_nm.shape[1],
        ),
        item_to_text=QueryPlaces(
            places=rank_right(backward_nm.mT[asked_m], right_nm.mT[asked_m], near_is="large"),
            query_r=asked,
            cluster_r=asked,
            candidates=len(text_item_n),
        ),
    )


def _stretched(similarity_nm: Tensor) -> Tensor:
    """Put log odds in place of probabilities, and the others below them, in float64.

    The probabilities of a trained head crowd at 0 and 1, nearer together than what ties.
    """
    odds_nm = similarity_nm.double().logit(eps=SMALLEST_PROBABILITY)
    return torch.where(similarity_nm >= 0, odds_nm, similarity_nm.double() - LARGEST_LOG_ODDS)


def read_pairs(pairs_p2: Tensor, match: Match, *, pairs_at_once: int = PAIRS_AT_ONCE) -> Tensor:
    """Have pairs read, some at once.

    Args:
        pairs_p2: Row of the text and row of the item of each pair, int64, shape (P, 2).
        match: Reads pairs.
        pairs_at_once: Pairs given to ``match`` at once.

    Returns:
        Probability that they match, float, shape (P,).

    Raises:
        ValueError: If ``match`` gives another number of values or one outside [0, 1].
    """
    found = [torch.zeros(0, device=pairs_p2.device)]
    for pairs in torch.split(pairs_p2, pairs_at_once) if len(pairs_p2) else ():
        texts_p, items_p = pairs.unbind(dim=1)
        given_p = match(texts_p, items_p)
        if given_p.shape != texts_p.shape:
            raise ValueError(
                f"the match of {len(pairs)} pairs needs shape ({len(pairs)},), got "
                f"{tuple(given_p.shape)}; give one probability a pair"
            )
        if not ((given_p >= 0) & (given_p <= 1)).all():
            raise ValueError(
                f"match probabilities lie in [0, 1], got {given_p.min():g} to {given_p.max():g}; "
                "give match_probability of the logits"
            )
        found.append(given_p)
    return torch.cat(found)


def _check(scores_nm: Tensor, *, keep: int, pairs_at_once: int) -> None:
    if scores_nm.ndim != 2 or not scores_nm.numel():
        raise ValueError(
            "re-ranking needs scores of shape (N, M) with a text and an item at least, got "
            f"{tuple(scores_nm.shape)}; give the whole matrix of first scores"
        )
    bad = int((~scores_nm.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{bad} of {scores_nm.numel()} scores are not finite and cannot be ranked; "
            "look at the embeddings"
        )
    for name, value in (("keep", keep), ("pairs_at_once", pairs_at_once)):
        if value < 1:
            raise ValueError(f"{name} is {value}; give 1 or more")
