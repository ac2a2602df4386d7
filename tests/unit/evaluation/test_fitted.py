"""Scores with fitted numbers: corrections against loops, fits on clips that are not ranked."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.config import parse_score
from gram.evaluation.fitted import FittedScore, Hubs, directions, plain_score
from gram.evaluation.fitting import Fitting, fit_score
from gram.evaluation.hubs import Softmax, hub_offsets
from gram.evaluation.ranked import RankedSet, paired_set
from gram.evaluation.retrieval import rank_retrieval
from gram.evaluation.whitening import spread_of
from gram.types import Modality
from gram.volume import pairwise_trusted_residual

NAMES = (Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE)


def unit(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def made(
    clips: int = 40, *, noise: tuple[float, ...] = (1.0, 1.5, 9.0), seed: int = 0
) -> RankedSet:
    """Make clips whose modalities tell less and less about their texts; all lean to one side."""
    meaning_nd, lean_d = unit(clips, 16, seed=seed), unit(16, seed=99)
    text_nd = normalize(meaning_nd + 0.2 * unit(clips, 16, seed=seed + 1), dim=-1)
    vectors_nd = {
        name: normalize(
            meaning_nd + 0.7 * lean_d + loud * unit(clips, 16, seed=seed + 2 + number), dim=-1
        )
        for number, (name, loud) in enumerate(zip(NAMES, noise, strict=True))
    }
    return paired_set(text_nd, vectors_nd)


def recall(score: FittedScore, ranked: RankedSet) -> float:
    found = rank_retrieval(score, ranked)
    both = (found.text_to_item, found.item_to_text)
    return sum(float(one.places.share_within(1).mean()) for one in both) / 2


# --- hubs ---------------------------------------------------------------------------------------


def corrected(kind: str, ranked: RankedSet, bank: RankedSet, hubs: Hubs) -> FittedScore:
    return FittedScore(spec=parse_score(kind), hubs=hubs, bank=bank)


def test_a_bank_takes_off_what_a_loop_takes_off() -> None:
    ranked, bank, hubs = made(8), made(5, seed=7), Hubs(Softmax(20, 1.0), Softmax(8, 0.5))
    both = directions(corrected("cosine_video+bank", ranked, bank, hubs), ranked)
    everything = slice(None)
    cosine = (ranked.text_qd @ ranked.vectors_nkd[:, 0].mT).double().numpy()
    for i, j in itertools.product(range(8), range(8)):
        to_bank = [float(text @ ranked.vectors_nkd[j, 0]) for text in bank.text_qd]
        away = math.log(sum(math.exp(20 * one) for one in to_bank)) / 20
        assert float(both.text_to_item.scores_of(everything)[i, j]) == pytest.approx(
            cosine[i, j] - away, abs=1e-5
        )
        to_bank = [float(ranked.text_qd[i] @ clip[0]) for clip in bank.vectors_nkd]
        away = 0.5 * math.log(sum(math.exp(8 * one) for one in to_bank)) / 8
        assert float(both.item_to_text.scores_of(everything)[j, i]) == pytest.approx(
            cosine[i, j] - away, abs=1e-5
        )


def test_a_dual_softmax_of_full_weight_is_a_softmax_over_the_queries() -> None:
    ranked, hubs = made(8), Hubs(Softmax(20, 1.0), Softmax(20, 1.0))
    score = corrected("cosine_video+dual_softmax", ranked, ranked, hubs)
    found = directions(score, ranked).text_to_item.scores_of(slice(None))
    cosine_qn = (ranked.text_qd @ ranked.vectors_nkd[:, 0].mT).double()
    torch.testing.assert_close(
        (20 * found).exp().double(), (20 * cosine_qn).softmax(dim=0), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["volume", "residual", "eigenvalue", "product", "area:tva"])
def test_every_score_can_be_corrected(kind: str) -> None:
    ranked = made(8)
    score = fit_score(parse_score(f"{kind}+bank"), made(24, seed=30))
    assert score.near_is == "large"
    assert bool(directions(score, ranked).text_to_item.scores_of(slice(None)).isfinite().all())


def test_memory_changes_no_correction() -> None:
    scores_bc = torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    whole, parts = (
        hub_offsets(scores_bc.__getitem__, 9, softmax=Softmax(10, 1), chunk_queries=size)
        for size in (100, 2)
    )
    torch.testing.assert_close(whole, parts)


def test_an_empty_bank_is_refused() -> None:
    with pytest.raises(ValueError, match="the bank is empty; give it texts and clips of another"):
        hub_offsets(lambda _: torch.zeros(0, 3), 0, softmax=Softmax(10, 1), chunk_queries=4)


def test_a_hub_that_a_bank_knows_is_found_less() -> None:
    # All texts lean to one side, and one clip stands there.
    lean_d = unit(16, seed=99)
    ranked, bank = (
        dataclasses.replace(one, text_qd=normalize(one.text_qd + 2 * lean_d, dim=-1))
        for one in (made(30), made(30, seed=50))
    )
    vectors_nkd = ranked.vectors_nkd.clone()
    vectors_nkd[3] = lean_d
    ranked = dataclasses.replace(ranked, vectors_nkd=vectors_nkd)
    score = fit_score(parse_score("cosine_video+bank@20"), bank)
    everything = slice(None)
    plain = directions(plain_score("cosine_video"), ranked).text_to_item.scores_of(everything)
    found = directions(score, ranked).text_to_item.scores_of(everything)
    assert (plain.argmax(dim=1) == 3).sum() > 20
    assert (found.argmax(dim=1) == 3).sum() < 5


# --- trusts -------------------------------------------------------------------------------------


def test_a_modality_that_tells_nothing_is_hardly_trusted() -> None:
    score = fit_score(parse_score("trusted_residual"), made(60))
    assert score.lambdas is not None
    assert score.lambdas[2] > score.lambdas[0]


def test_trusts_rank_other_clips_better_than_none() -> None:
    ranked = made(60, seed=100)
    score = fit_score(parse_score("trusted_residual"), made(60))
    assert recall(score, ranked) > recall(plain_score("residual"), ranked)


def test_a_trusted_similarity_is_what_its_residual_lacks() -> None:
    ranked = made(6)
    lambdas = (0.0, 1.0, math.inf)
    score = FittedScore(spec=parse_score("trusted_similarity"), lambdas=lambdas)
    found = directions(score, ranked).text_to_item.scores_of(slice(None))
    residual = pairwise_trusted_residual(ranked.text_qd, ranked.vectors_nkd, lambdas=lambdas)
    torch.testing.assert_close(found, 1 - residual.square())


def test_a_duplicated_modality_can_be_fitted() -> None:
    ranked = made(20)
    vectors_nkd = ranked.vectors_nkd.clone()
    vectors_nkd[:, 1] = vectors_nkd[:, 0]
    score = fit_score(
        parse_score("trusted_residual"), dataclasses.replace(ranked, vectors_nkd=vectors_nkd)
    )
    assert score.lambdas is not None


def test_what_stands_in_a_missing_row_decides_no_trust() -> None:
    ranked = made(30)
    present_nk = torch.ones(30, 3, dtype=torch.bool)
    present_nk[::3, 1] = False
    holes = [
        dataclasses.replace(
            ranked,
            present_nk=present_nk,
            vectors_nkd=ranked.vectors_nkd.masked_fill(~present_nk.unsqueeze(-1), filler),
        )
        for filler in (0.0, math.nan)
    ]
    for name in ("trusted_residual", "whitened_residual"):
        fits = [fit_score(parse_score(name), one) for one in holes]
        assert fits[0].lambdas == fits[1].lambdas


# --- whitening ----------------------------------------------------------------------------------


def test_whitening_takes_away_the_side_to_which_all_lean() -> None:
    ranked = made(60)
    whitened = spread_of(ranked).whitening(10.0).of(ranked)
    before, after = (one.vectors_nkd[:, 0].mean(dim=0).norm() for one in (ranked, whitened))
    assert float(after) < 0.3 * float(before)


def test_whitening_with_little_shrinkage_makes_covariances_even() -> None:
    rows = unit(500, 4, seed=1) * torch.tensor([3.0, 1.0, 0.5, 0.2]) + 1
    ranked = paired_set(rows, {Modality.VIDEO: rows})
    mean_d, map_dd = spread_of(ranked).whitening(1e-6).text
    moved = ((rows - mean_d) @ map_dd).double().numpy()
    np.testing.assert_allclose(np.cov(moved.T, bias=True), np.eye(4), atol=1e-3)


@pytest.mark.parametrize("rows", [5, 16, 40], ids=["few", "as many as wide", "many"])
def test_a_whitening_is_the_inverse_root_of_the_covariance(rows: int) -> None:
    text_nd = unit(rows, 16, seed=1)
    whitening = spread_of(paired_set(text_nd, {Modality.VIDEO: text_nd})).whitening(0.5)
    covariance = np.cov(text_nd.double().numpy().T, bias=True)
    lifted = covariance + 0.5 * np.trace(covariance) / 16 * np.eye(16)
    map_dd = whitening.text[1].double().numpy()
    np.testing.assert_allclose(map_dd @ lifted @ map_dd, np.eye(16), atol=1e-5)


def test_equal_vectors_are_whitened_to_finite_ones() -> None:
    text_nd = unit(1, 16, seed=1).expand(6, -1).contiguous()
    ranked = paired_set(text_nd, {Modality.VIDEO: text_nd})
    assert bool(spread_of(ranked).whitening(3.0).of(ranked).text_qd.isfinite().all())


def test_whitened_vectors_are_of_unit_length() -> None:
    whitened = spread_of(made(20)).whitening(3.0).of(made(20, seed=9))
    torch.testing.assert_close(whitened.vectors_nkd.norm(dim=-1), torch.ones(20, 3))


def test_a_modality_that_no_clip_has_is_left_as_it_is() -> None:
    ranked = made(20)
    present_nk = ranked.present_nk.clone()
    present_nk[:, 2] = False
    absent = dataclasses.replace(ranked, present_nk=present_nk)
    score = fit_score(parse_score("whitened_residual"), absent)
    assert 0 < recall(score, absent) <= 1


def test_whitening_without_shrinkage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"above 0, got 0\.0"):
        spread_of(made(8)).whitening(0.0)


# --- what is fitted on --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["whitened_residual+bank", "trusted_residual+dual_softmax"])
def test_the_same_clips_give_the_same_fit(name: str) -> None:
    one, other = (fit_score(parse_score(name), made(24)) for _ in range(2))
    assert (one.lambdas, one.hubs) == (other.lambdas, other.hubs)


def test_a_score_is_fitted_alike_alone_and_after_others() -> None:
    names = [
        f"{kind}{correction}"
        for kind in ("trusted_residual", "whitened_residual", "trusted_residual:tva", "volume")
        for correction in ("+bank", "+dual_softmax", "")
    ]
    fitting = Fitting(made(24))
    for name in names:
        spec = parse_score(name)
        together, alone = fitting.fit(spec), Fitting(made(24)).fit(spec)
        assert (together.lambdas, together.hubs) == (alone.lambdas, alone.hubs)
        assert (together.whitening is None) == (alone.whitening is None)


@pytest.mark.parametrize("name", ["volume", "trusted_residual+bank", "cosine_video+dual_softmax"])
def test_scores_that_are_kept_give_the_places_of_those_that_are_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, ranked, places = fit_score(parse_score(name), made(24)), made(20, seed=60), []
    for kept in (2**22, 0):
        monkeypatch.setattr("gram.evaluation.fitted.KEPT_SCORES", kept)
        found = rank_retrieval(score, ranked)
        places.append([*found.text_to_item.places, *found.item_to_text.places])
    assert all(torch.equal(one, other) for one, other in zip(*places, strict=True))


def test_a_temperature_that_is_named_is_taken() -> None:
    score = fit_score(parse_score("volume+bank@20"), made(12))
    assert score.hubs == Hubs(Softmax(20.0, 1.0), Softmax(20.0, 1.0))


def test_only_the_first_text_of_a_clip_is_in_the_bank() -> None:
    ranked = made(8)
    twice = dataclasses.replace(
        ranked,
        text_qd=ranked.text_qd.repeat_interleave(2, dim=0),
        text_group_q=ranked.text_group_q.repeat_interleave(2),
    )
    bank = fit_score(parse_score("volume+bank@20"), twice).bank
    assert bank is not None
    assert torch.equal(bank.text_qd, ranked.text_qd)


def test_a_score_in_which_nothing_is_fitted_is_given_as_it_is() -> None:
    assert fit_score(parse_score("volume"), made(4)) == plain_score("volume")


def test_too_few_clips_to_fit_on_are_told() -> None:
    with pytest.raises(ValueError, match=r"need 4 clips or more, .* found 3; rank more, or name"):
        fit_score(parse_score("volume+bank"), made(3))


def test_a_fitted_score_is_not_plain() -> None:
    with pytest.raises(
        ValueError, match="has numbers that are fitted on other clips; fit it first"
    ):
        plain_score("volume+bank")
