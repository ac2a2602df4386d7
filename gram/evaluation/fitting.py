"""Fits what a score needs, on clips that are not ranked: trusts, whitening, temperatures.

What is chosen is what ranks best, by the mean of 1 / rank. Trusts have few values, and are chosen
on all clips that are fitted on. Whitening and banks have many, so they are judged on clips that
they were not made of: half of the clips make them, the other half judges, and the other way round.

Shape letters of this file: Q texts, N clips, B queries of a bank.
"""

from dataclasses import replace
from functools import cache, cached_property
from typing import NamedTuple

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
from gram.evaluation.ranks import Places, rank_pairs, right_pairs
from gram.evaluation.trusts import Lambdas, choose_trusts
from gram.evaluation.whitening import Spread, Whitening, spread_of
from gram.types import Modality

SHRINKAGES = (3.0, 10.0, 30.0)
"""Shrinkages of the whitening that are tried."""

BETAS = (5.0, 10.0, 20.0, 30.0, 40.0, 80.0)
"""Inverse temperatures that are tried, per unit of cosine."""

WEIGHTS = (0.5, 0.75, 1.0)
"""Shares of the correction that are tried."""

FOLD_SEED = 0
"""Seed of the halves within the clips that are fitted on."""

Modalities = tuple[Modality, ...]


class _Whitened(NamedTuple):
    """Shrinkage and trusts that were chosen for some modalities."""

    shrinkage: float
    lambdas: Lambdas


class _Fold(NamedTuple):
    """What is made of the one is judged on the other."""

    made: RankedSet
    judge: RankedSet


class Fitting:
    """Fits scores on one set; what several of them need is computed once."""

    def __init__(self, fitted_on: RankedSet) -> None:
        """Take texts and clips, which must not be ranked by what is fitted.

        They are the bank, with the first text of each clip.
        """
        self._given = fitted_on
        self._trusts, self._whitened = cache(self._choose_trusts), cache(self._choose_whitened)
        self._spread, self._whitening = cache(self._take_spread), cache(self._make_whitening)

    def fit(self, spec: ScoreSpec) -> FittedScore:
        """Fit a score; one in which nothing is fitted is given as it is.

        Raises:
            ValueError: If there are too few clips, or a modality of the score is not there.
        """
        if not spec.is_fitted:
            return plain_score(spec)
        score = FittedScore(spec=ScoreSpec(kind=spec.kind, modalities=spec.modalities))
        modalities = spec.modalities_of(self._given.modalities)
        if spec.kind in ("trusted_residual", "trusted_similarity"):
            score = replace(score, lambdas=self._trusts(modalities))
        elif spec.kind == "whitened_residual":
            shrinkage, lambdas = self._whitened(modalities)
            whitening = self._whitening(modalities, shrinkage, None)
            score = replace(score, lambdas=lambdas, whitening=whitening)
        if spec.correction is None:
            return score
        score = replace(score, spec=spec)
        return replace(score, hubs=self._hubs(score, modalities), bank=self._fitted_on)

    @property
    def clips(self) -> int:
        """Number of clips that are fitted on."""
        return len(self._given.vectors_nkd)

    @cached_property
    def _fitted_on(self) -> RankedSet:
        return self._given.first_texts()

    @cached_property
    def _folds(self) -> tuple[_Fold, _Fold]:
        """Two pairs of halves, each of which judges what is made of the other."""
        rows = self._fitted_on.halves(FOLD_SEED)
        first, second = (self._fitted_on.of_clips(one) for one in rows)
        return _Fold(first, second), _Fold(second, first)

    def _choose_trusts(self, modalities: Modalities) -> Lambdas:
        return choose_trusts([self._fitted_on.of_modalities(modalities)])[0]

    def _choose_whitened(self, modalities: Modalities) -> _Whitened:
        """Choose the shrinkage, with the trusts that are best behind it."""
        found = []
        for shrinkage in SHRINKAGES:
            judges = [
                self._whitening(modalities, shrinkage, number).of(
                    fold.judge.of_modalities(modalities)
                )
                for number, fold in enumerate(self._folds)
            ]
            lambdas, reached = choose_trusts(judges)
            found.append((reached, _Whitened(shrinkage, lambdas)))
        return max(found, key=lambda one: one[0])[1]

    def _take_spread(self, modalities: Modalities, fold: int | None) -> Spread:
        """Take the spread of one half, or of all clips."""
        made = self._fitted_on if fold is None else self._folds[fold].made
        return spread_of(made.of_modalities(modalities))

    def _make_whitening(
        self, modalities: Modalities, shrinkage: float, fold: int | None
    ) -> Whitening:
        """Whiten by one half, or by all clips."""
        return self._spread(modalities, fold).whitening(shrinkage)

    def _hubs(self, score: FittedScore, modalities: Modalities) -> Hubs:
        """Choose temperature and weight for each direction, unless the name gives the first."""
        if score.spec.beta is not None:
            return Hubs(*(Softmax(score.spec.beta, 1.0),) * 2)
        sums = torch.zeros(2, len(BETAS) * len(WEIGHTS), dtype=torch.float64)
        for number, fold in enumerate(self._folds):
            of_fold = score
            if score.whitening is not None:
                whitening = self._whitening(modalities, score.whitening.shrinkage, number)
                of_fold = replace(score, whitening=whitening)
            sums += _qualities(of_fold, fold)
        tried = [Softmax(beta, weight) for beta in BETAS for weight in WEIGHTS]
        to_item, to_text = (tried[int(of_direction.argmax())] for of_direction in sums)
        return Hubs(to_item, to_text)


def fit_score(spec: ScoreSpec, fitted_on: RankedSet) -> FittedScore:
    """Fit one score; see ``Fitting``."""
    return Fitting(fitted_on).fit(spec)


def quality(places: Places) -> float:
    """Give the mean of 1 / rank, from 0 to 1; what ties counts with its mean place."""
    return float(places.mean_q.reciprocal().mean())


def _qualities(score: FittedScore, fold: _Fold) -> Tensor:
    """Judge corrections by a bank, each temperature with each weight: shape (2, tried)."""
    texts, clips = score.prepare(fold.judge), score.prepare(fold.made)
    scores_qn = pair_scores(score, texts, texts)
    if score.spec.is_transductive:
        by_texts_bn = by_clips_qb = scores_qn
    else:
        by_texts_bn, by_clips_qb = (
            pair_scores(score, *pair) for pair in ((clips, texts), (texts, clips))
        )
    asked_n = torch.isin(texts.clip_group_n, texts.text_group_q)
    to_item = right_pairs(texts.text_group_q, texts.clip_group_n)
    to_text = right_pairs(texts.clip_group_n[asked_n], texts.text_group_q)
    found: tuple[list[float], list[float]] = ([], [])
    for beta in BETAS:
        away_n, away_q = (_offsets(bank_bc, beta=beta) for bank_bc in (by_texts_bn, by_clips_qb.mT))
        for weight in WEIGHTS:
            forward = rank_pairs(scores_qn - weight * away_n, to_item, near_is="large")
            backward_nq = scores_qn.mT[asked_n] - weight * away_q
            backward = rank_pairs(backward_nq, to_text, near_is="large")
            found[0].append(quality(forward))
            found[1].append(quality(backward))
    return torch.tensor(found, dtype=torch.float64)


def _offsets(bank_bc: Tensor, *, beta: float) -> Tensor:
    """Give what a bank takes off every candidate at full weight, shape (C,)."""
    return hub_offsets(
        bank_bc.__getitem__, len(bank_bc), softmax=Softmax(beta, 1.0), chunk_queries=2**20
    ).to(bank_bc.dtype)
