"""A score with the numbers that were fitted for it, ready to rank.

Shape letters of this file: Q texts, N clips, q queries of a chunk, C candidates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gram.config import ScoreSpec, parse_score
from gram.evaluation.hubs import Softmax, hub_offsets
from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import CHUNK_SCORES, Places, rank_in_chunks
from gram.evaluation.scores import Definition, NearIs, as_cosine, definition
from gram.evaluation.whitening import Whitening

EVERYTHING = slice(None)

DOUBLES = 4
"""How many times the memory of a score a number takes while a softmax is taken over the bank."""


KEPT_SCORES = 2**22
"""Up to so many scores of all texts with all clips are computed once for both ways to search."""


class Hubs(NamedTuple):
    """How hubs are corrected: from text to item those among clips, the other way among texts."""

    text_to_item: Softmax
    item_to_text: Softmax


@dataclass(frozen=True, kw_only=True)
class FittedScore:
    """A score and its fitted numbers.

    Attributes:
        spec: Which score; what it says of re-ranking is not looked at.
        lambdas: Trust of each modality, for trusted and whitened residuals.
        whitening: For the whitened residual.
        hubs: Temperatures and weights, for a corrected score.
        bank: Texts and clips of the bank, as they were fitted on.
    """

    spec: ScoreSpec
    lambdas: tuple[float, ...] | None = None
    whitening: Whitening | None = None
    hubs: Hubs | None = None
    bank: RankedSet | None = None

    @property
    def definition(self) -> Definition:
        """What is computed before any correction."""
        return definition(self.spec.kind, lambdas=self.lambdas)

    @property
    def near_is(self) -> NearIs:
        """Which end is near: of a corrected score the large one."""
        return self.definition.near_is if self.spec.correction is None else "large"

    def prepare(self, ranked: RankedSet) -> RankedSet:
        """Take the modalities of the score, and whiten them, if it does.

        Raises:
            ValueError: If one of the modalities is not there.
        """
        chosen = ranked.of_modalities(self.spec.modalities_of(ranked.modalities))
        return chosen if self.whitening is None else self.whitening.of(chosen)


def plain_score(name: str | ScoreSpec) -> FittedScore:
    """Give a score in which nothing is fitted.

    Raises:
        ValueError: If something in it is.
    """
    spec = parse_score(name) if isinstance(name, str) else name
    if spec.is_fitted:
        raise ValueError(
            f"the score {spec.name!r} has numbers that are fitted on other clips; fit it first"
        )
    return FittedScore(spec=spec)


class Direction(NamedTuple):
    """One way to search.

    Attributes:
        scores_of: Gives the scores of some queries with all candidates, float, shape (q, C).
        query_group_q: Group of each query, int64, shape (Q,).
        candidate_group_c: Group of each candidate, int64, shape (C,).
        near_is: Which end is near.
    """

    scores_of: Callable[[slice], Tensor]
    query_group_q: Tensor
    candidate_group_c: Tensor
    near_is: NearIs


class Directions(NamedTuple):
    """Both ways to search.

    Attributes:
        text_to_item: Every text is a query, every clip a candidate.
        item_to_text: Every clip to which a text belongs is a query, every text a candidate.
        asked_n: Rows of those clips, int64.
    """

    text_to_item: Direction
    item_to_text: Direction
    asked_n: Tensor


def directions(
    score: FittedScore, ranked: RankedSet, *, chunk_scores: int = CHUNK_SCORES
) -> Directions:
    """Prepare both ways to search a set by a score.

    Args:
        score: What ranks.
        ranked: Texts and clips.
        chunk_scores: Scores of the bank that are held at once.

    Raises:
        ValueError: If the score needs a modality that is not there, or a vector that it takes
            holds a value that is not finite.
    """
    _check_finite(ranked.of_modalities(score.spec.modalities_of(ranked.modalities)))
    prepared = score.prepare(ranked)
    asked_n = torch.isin(prepared.clip_group_n, prepared.text_group_q).nonzero().flatten()
    scores = _PairScores(score, prepared)
    away_n, away_q = _offsets(score, scores, chunk_scores=chunk_scores)

    def of_texts(texts: slice) -> Tensor:
        return _lowered(scores.of(texts, EVERYTHING), away_n)

    def of_clips(asked: slice) -> Tensor:
        return _lowered(scores.of(EVERYTHING, asked_n[asked]).mT, away_q)

    texts, clips = prepared.text_group_q, prepared.clip_group_n
    return Directions(
        Direction(of_texts, texts, clips, score.near_is),
        Direction(of_clips, clips[asked_n], texts, score.near_is),
        asked_n,
    )


def _check_finite(ranked: RankedSet) -> None:
    """Check what is there: an eigenvalue of what is not finite is never found."""
    bad_q = ~ranked.text_qd.isfinite().all(dim=1)
    bad_nk = ~ranked.vectors_nkd.isfinite().all(dim=2) & ranked.present_nk
    if bool(bad_q.any()) or bool(bad_nk.any()):
        raise ValueError(
            f"{int(bad_q.sum())} of {len(bad_q)} texts and {int(bad_nk.sum())} vectors of clips "
            "are not finite and cannot be ranked; look at the embeddings"
        )


def _lowered(scores_qc: Tensor, away_c: Tensor | None) -> Tensor:
    return scores_qc if away_c is None else scores_qc - away_c.to(scores_qc.dtype)


def pair_scores(
    score: FittedScore,
    texts: RankedSet,
    clips: RankedSet,
    text_rows: slice = EVERYTHING,
    clip_rows: slice | Tensor = EVERYTHING,
) -> Tensor:
    """Score texts of one prepared set with clips of another, before what is taken off hubs.

    Returns:
        Scores, float, shape (texts, clips); on a scale of cosines if the score corrects hubs.
    """
    scores_qn = score.definition.pairs(
        texts.text_qd[text_rows], clips.vectors_nkd[clip_rows], clips.present_nk[clip_rows]
    )
    if score.spec.correction is None:
        return scores_qn
    return as_cosine(scores_qn, of=score.definition, num_modalities=len(clips.modalities))


class _PairScores:
    """Scores of a prepared set's texts with its clips, computed when they are asked for.

    Those of a small set are computed once, and kept.
    """

    def __init__(self, score: FittedScore, prepared: RankedSet) -> None:
        """Take the set."""
        self.score, self.prepared = score, prepared
        self._kept_qn: Tensor | None = None

    def of(self, texts: slice, clips: slice | Tensor) -> Tensor:
        """Give the scores of some texts with some clips."""
        of_set = self.prepared
        if len(of_set.text_qd) * len(of_set.vectors_nkd) > KEPT_SCORES:
            return pair_scores(self.score, of_set, of_set, texts, clips)
        if self._kept_qn is None:
            self._kept_qn = pair_scores(self.score, of_set, of_set)
        return self._kept_qn[texts][:, clips]


def places_of(direction: Direction, *, chunk_scores: int = CHUNK_SCORES) -> Places:
    """Find the places of the right candidates in one direction; see ``rank_in_chunks``."""
    return rank_in_chunks(
        direction.scores_of,
        direction.query_group_q,
        candidate_clip_c=direction.candidate_group_c,
        near_is=direction.near_is,
        chunk_scores=chunk_scores,
    )


def _offsets(
    score: FittedScore, scores: _PairScores, *, chunk_scores: int
) -> tuple[Tensor | None, Tensor | None]:
    """Give what is taken off every clip, and off every text."""
    if score.spec.correction is None:
        return None, None
    if score.hubs is None or score.bank is None:
        raise ValueError(f"the score {score.spec.name!r} is not fitted; fit it first")
    prepared, at_once = scores.prepared, max(1, chunk_scores // DOUBLES)
    bank = prepared if score.spec.is_transductive else score.prepare(score.bank)

    def to_bank_texts(rows: slice) -> Tensor:
        if bank is prepared:
            return scores.of(rows, EVERYTHING)
        return pair_scores(score, bank, prepared, rows, EVERYTHING)

    def to_bank_clips(rows: slice) -> Tensor:
        if bank is prepared:
            return scores.of(EVERYTHING, rows).mT
        return pair_scores(score, prepared, bank, EVERYTHING, rows).mT

    away_n = hub_offsets(
        to_bank_texts,
        len(bank.text_qd),
        softmax=score.hubs.text_to_item,
        chunk_queries=max(1, at_once // max(1, len(prepared.vectors_nkd))),
    )
    away_q = hub_offsets(
        to_bank_clips,
        len(bank.vectors_nkd),
        softmax=score.hubs.item_to_text,
        chunk_queries=max(1, at_once // max(1, len(prepared.text_qd))),
    )
    return away_n, away_q
