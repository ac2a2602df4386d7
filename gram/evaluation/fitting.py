"""Fits what a score needs, on clips that are not ranked: trusts, whitening, temperatures.

What is chosen is what ranks best, by the mean of 1 / rank. Trusts have few values, and are chosen
on all clips that are fitted on. Whitening and banks have many, so they are judged on clips that
they were not made of: half of the clips make them, the other half judges, and the other way round.

Shape letters of this file: Q texts, N clips.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from gram.config import ScoreSpec
from gram.evaluation.fitted import (
    FittedScore,
    Hubs,
    pair_scores,
    plain_score,
)
from gram.evaluation.hubs import Softmax, hub_offsets
from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import Places, rank_right
from gram.evaluation.whitening import spread_of

TRUSTS = (0.0, 0.25, 1.0, 4.0, math.inf)
"""Lambdas that are tried for each modality; see ``pairwise_trusted_residual``."""

SHRINKAGES = (3.0, 10.0, 30.0)
"""Shrinkages of the whitening that are tried."""

BETAS = (5.0, 10.0, 20.0, 30.0, 40.0, 80.0)
"""Inverse temperatures that are tried, per unit of cosine."""

WEIGHTS = (0.5, 0.75, 1.0)
"""Shares of the correction that are tried."""

FOLD_SEED = 0
"""Seed of the halves within the clips that are fitted on."""

Choice = TypeVar("Choice")


def fit_score(spec: ScoreSpec, fitted_on: RankedSet) -> FittedScore:
    """Fit a score; one in which nothing is fitted is given as it is.

    Args:
        spec: The score.
        fitted_on: Texts and clips, which must not be ranked by the result. They are the bank, with
            the first text of each clip.

    Raises:
        ValueError: If there are too few clips, or a modality of the score is not there.
    """
    if not spec.is_fitted:
        return plain_score(spec)
    fitted_on = fitted_on.first_texts()
    score = FittedScore(spec=ScoreSpec(kind=spec.kind, modalities=spec.modalities))
    if spec.kind in ("trusted_residual", "trusted_similarity"):
        score = replace(score, lambdas=_trusts([score.prepare(fitted_on)]))
    elif spec.kind == "whitened_residual":
        score = _whitened(score, fitted_on)
    if spec.correction is None:
        return score
    score = replace(score, spec=spec)
    return replace(score, hubs=_hubs(score, fitted_on), bank=fitted_on)


def quality(places: Places) -> float:
    """Give the mean of 1 / rank, from 0 to 1; what ties counts with its mean place."""
    return float(places.mean_q.reciprocal().mean())


def _trusts(judges: Sequence[RankedSet]) -> tuple[float, ...]:
    """Choose the trusts, one modality after the other, twice; all begin at 1."""
    tables = [_TrustTable(judge) for judge in judges]
    count = len(judges[0].modalities)
    lambdas = (1.0,) * count
    for column in (*range(count), *range(count)):
        tried = [(*lambdas[:column], one, *lambdas[column + 1 :]) for one in TRUSTS]
        allowed = [one for one in tried if not all(map(math.isinf, one))]
        lambdas = best(allowed, lambda one: sum(table.quality(one) for table in tables))
    return lambdas


class _TrustTable:
    """What trusts are judged by: of all pairs the dot products, of all clips the Gram matrices.

    The similarity of a pair is ``p' (G + diag(lambdas))^-1 p``, as ``pairwise_trusted_residual``
    has it; here many lambdas are tried, and what does not depend on them is computed once.
    """

    def __init__(self, judge: RankedSet) -> None:
        """Take a set that is prepared."""
        there_nk1 = judge.present_nk.unsqueeze(-1)
        vectors_nkd = torch.where(there_nk1, judge.vectors_nkd, 0.0)
        self._gram_nkk = (vectors_nkd @ vectors_nkd.mT).double()
        self._gram_nkk += torch.diag_embed((~judge.present_nk).double())
        self._dots_kqn = torch.einsum("qd,nkd->kqn", judge.text_qd, vectors_nkd)
        self._right_qn = judge.text_group_q.unsqueeze(1) == judge.clip_group_n
        self._asked_n = self._right_qn.any(dim=0)

    def quality(self, lambdas: Sequence[float]) -> float:
        """Judge trusts in both directions."""
        kept = [column for column, one in enumerate(lambdas) if not math.isinf(one)]
        finite_k = torch.tensor([lambdas[column] for column in kept], dtype=torch.float64)
        lifted_nkk = self._gram_nkk[:, kept][:, :, kept] + torch.diag(finite_k)
        inverse_nkk = torch.linalg.pinv(lifted_nkk, hermitian=True).to(self._dots_kqn.dtype)
        similarity_qn = torch.zeros_like(self._dots_kqn[0])
        for i, row in enumerate(kept):
            for j, column in enumerate(kept):
                both_qn = self._dots_kqn[row] * self._dots_kqn[column]
                similarity_qn += inverse_nkk[:, i, j] * both_qn
        return _quality_of(similarity_qn, self._right_qn, self._asked_n)


def _quality_of(scores_qn: Tensor, right_qn: Tensor, asked_n: Tensor) -> float:
    """Add up the qualities in both directions; large is near."""
    forward = rank_right(scores_qn, right_qn, near_is="large")
    backward = rank_right(scores_qn.mT[asked_n], right_qn.mT[asked_n], near_is="large")
    return quality(forward) + quality(backward)


def _whitened(score: FittedScore, fitted_on: RankedSet) -> FittedScore:
    """Choose shrinkage and trusts, then whiten by all clips that are fitted on."""
    chosen = fitted_on.of_modalities(score.spec.modalities_of(fitted_on.modalities))
    folds, found = [(spread_of(made), judge) for made, judge in _folds(chosen)], []
    for shrinkage in SHRINKAGES:
        judges = [spread.whitening(shrinkage).of(judge) for spread, judge in folds]
        lambdas = _trusts(judges)
        reached = sum(_TrustTable(judge).quality(lambdas) for judge in judges)
        found.append((reached, shrinkage, lambdas))
    _, shrinkage, lambdas = best(found, lambda one: one[0])
    return replace(score, lambdas=lambdas, whitening=spread_of(chosen).whitening(shrinkage))


def _hubs(score: FittedScore, fitted_on: RankedSet) -> Hubs:
    """Choose temperature and weight for each direction, unless the name gives the first."""
    if score.spec.beta is not None:
        return Hubs(*(Softmax(score.spec.beta, 1.0),) * 2)
    tried = [Softmax(beta, weight) for beta, weight in itertools.product(BETAS, WEIGHTS)]
    sums = torch.zeros(2, len(tried), dtype=torch.float64)
    for made, judge in _folds(fitted_on):
        sums += _qualities(_made_of(score, made), made, judge, tried=tried)
    to_item, to_text = (tried[int(of_direction.argmax())] for of_direction in sums)
    return Hubs(to_item, to_text)


def _made_of(score: FittedScore, made: RankedSet) -> FittedScore:
    """Whiten by other clips, if the score whitens."""
    if score.whitening is None:
        return score
    chosen = made.of_modalities(score.spec.modalities_of(made.modalities))
    return replace(score, whitening=spread_of(chosen).whitening(score.whitening.shrinkage))


def _qualities(
    score: FittedScore, made: RankedSet, judge: RankedSet, *, tried: Sequence[Softmax]
) -> Tensor:
    """Judge corrections by a bank: quality in both directions of each, shape (2, tried)."""
    texts, clips = (score.prepare(one) for one in (judge, made))
    scores_qn = pair_scores(score, texts, texts)
    by_texts_bn, by_clips_qb = pair_scores(score, clips, texts), pair_scores(score, texts, clips)
    if score.spec.is_transductive:
        by_texts_bn = by_clips_qb = scores_qn
    right_qn = texts.text_group_q.unsqueeze(1) == texts.clip_group_n
    asked_n = right_qn.any(dim=0)
    found = torch.zeros(2, len(tried), dtype=torch.float64)
    for number, softmax in enumerate(tried):
        away_n, away_q = (
            hub_offsets(bank_bc.__getitem__, len(bank_bc), softmax=softmax, chunk_queries=2**20)
            for bank_bc in (by_texts_bn, by_clips_qb.mT)
        )
        forward = rank_right(scores_qn - away_n, right_qn, near_is="large")
        backward_nq = (scores_qn - away_q.unsqueeze(1)).mT[asked_n]
        backward = rank_right(backward_nq, right_qn.mT[asked_n], near_is="large")
        found[:, number] = torch.tensor([quality(forward), quality(backward)])
    return found


def _folds(fitted_on: RankedSet) -> list[tuple[RankedSet, RankedSet]]:
    """Give two pairs of halves: what is made of the first of a pair is judged on the second."""
    first, second = (fitted_on.of_clips(rows) for rows in fitted_on.halves(FOLD_SEED))
    return [(first, second), (second, first)]


def best(tried: Iterable[Choice], quality_of: Callable[[Choice], float]) -> Choice:
    """Give the first of those that have the highest quality."""
    return max(tried, key=quality_of)
