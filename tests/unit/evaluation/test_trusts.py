"""Trusts: what is chosen among many at once, against residuals that are ranked one by one."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import rank_right
from gram.evaluation.trusts import TRUSTS, choose_trusts
from gram.types import Modality
from gram.volume import pairwise_trusted_residual

NAMES = (Modality.VIDEO, Modality.AUDIO)


def unit(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def made(clips: int = 30, *, classes: int | None = None, seed: int = 0) -> RankedSet:
    """Make clips that resemble their texts, or the names of their classes; the second less."""
    groups_n = torch.arange(clips) % (classes or clips)
    text_gd = unit(classes or clips, 8, seed=seed)
    noise_nkd = unit(clips, 2, 8, seed=seed + 1) * torch.tensor([1.0, 3.0]).unsqueeze(-1)
    return RankedSet(
        text_qd=text_gd,
        text_group_q=torch.arange(len(text_gd)),
        vectors_nkd=normalize(text_gd[groups_n].unsqueeze(1) + noise_nkd, dim=-1),
        present_nk=torch.ones(clips, 2, dtype=torch.bool),
        clip_group_n=groups_n,
        modalities=NAMES,
    )


def with_holes(ranked: RankedSet) -> RankedSet:
    present_nk = ranked.present_nk.clone()
    present_nk[::3, 1] = False
    return dataclasses.replace(ranked, present_nk=present_nk)


def without_clips_of_a_text(ranked: RankedSet) -> RankedSet:
    """Leave clips in that no text belongs to: they are ranked, and ask nothing."""
    return dataclasses.replace(
        ranked, text_qd=ranked.text_qd[:20], text_group_q=ranked.text_group_q[:20]
    )


def by_residuals(ranked: RankedSet, lambdas: tuple[float, ...]) -> float:
    """Rank by the residual itself, as a run does, in float64, and add up both directions."""
    distance_qn = pairwise_trusted_residual(
        ranked.text_qd.double(),
        ranked.vectors_nkd.double(),
        lambdas=lambdas,
        present_mk=ranked.present_nk,
    )
    # Of the square, which is what ties are counted of when trusts are chosen.
    similarity_qn = 1 - distance_qn.square()
    right_qn = ranked.text_group_q.unsqueeze(1) == ranked.clip_group_n
    asked_n = right_qn.any(dim=0)
    both = [
        rank_right(similarity_qn, right_qn, near_is="large"),
        rank_right(similarity_qn.mT[asked_n], right_qn.mT[asked_n], near_is="large"),
    ]
    return sum(float(one.mean_q.reciprocal().mean()) for one in both)


CASES = {
    "pairs": made(),
    "holes": with_holes(made()),
    "classes": made(classes=6),
    "clips without a text": without_clips_of_a_text(made()),
}


@pytest.mark.parametrize("products", [2**22, 100], ids=["at once", "text by text"])
@pytest.mark.parametrize("case", CASES)
def test_the_quality_is_that_of_ranking_by_the_residual(
    case: str, products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram.evaluation.trusts.PRODUCTS", products)
    lambdas, reached = choose_trusts([CASES[case]])
    assert reached == pytest.approx(by_residuals(CASES[case], lambdas), abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_no_step_of_one_trust_is_better(case: str) -> None:
    lambdas, reached = choose_trusts([CASES[case]])
    for column, one in itertools.product(range(2), TRUSTS):
        stepped = tuple(one if number == column else own for number, own in enumerate(lambdas))
        if not all(map(math.isinf, stepped)):
            assert by_residuals(CASES[case], stepped) <= reached + 1e-9


def test_several_sets_are_judged_together() -> None:
    judges = [made(seed=0), made(seed=5)]
    lambdas, reached = choose_trusts(judges)
    assert reached == pytest.approx(sum(by_residuals(one, lambdas) for one in judges), abs=1e-9)
