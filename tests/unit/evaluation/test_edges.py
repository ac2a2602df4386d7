"""What happens at the edges of ranking: equal texts, equal clips, equal scores, one clip, none."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.config import parse_score
from gram.evaluation.fitted import plain_score
from gram.evaluation.fitting import fit_score
from gram.evaluation.ranked import RankedSet, paired_set
from gram.evaluation.retrieval import QueryPlaces, rank_retrieval, summarize_places
from gram.evaluation.scores import DEFINITIONS
from gram.types import Modality

PLAIN = [
    pytest.param("area:tva" if kind == "area" else kind, id=kind)
    for kind in DEFINITIONS
    if kind not in ("cosine_subtitle", "cosine_depth")
]


def unit(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def made(clips: int) -> RankedSet:
    """Make clips that are nearest to their texts by far."""
    meaning_nd = torch.eye(32)[:clips]
    names = (Modality.VIDEO, Modality.AUDIO)
    near = {
        name: normalize(meaning_nd + 0.1 * unit(clips, 32, seed=number), dim=-1)
        for number, name in enumerate(names)
    }
    return paired_set(meaning_nd, near)


def recall(found: QueryPlaces, k: int = 1) -> float:
    return summarize_places(found.places, recall_at=(k,))[f"R@{k}"]


@pytest.mark.parametrize("score", PLAIN)
def test_two_equal_captions_share_the_place_of_one(score: str) -> None:
    ranked = made(10)
    text_qd = ranked.text_qd.clone()
    text_qd[1] = text_qd[0]
    found = rank_retrieval(plain_score(score), dataclasses.replace(ranked, text_qd=text_qd))
    # Clip 0 finds one of two equal texts, of which either may be its own; clip 1 has none near.
    assert found.item_to_text.places.best_q[0] == 1
    assert found.item_to_text.places.worst_q[0] == 2


@pytest.mark.parametrize("score", PLAIN)
def test_two_equal_clips_share_the_first_place(score: str) -> None:
    ranked = made(10)
    vectors_nkd = ranked.vectors_nkd.clone()
    vectors_nkd[1] = vectors_nkd[0]
    found = rank_retrieval(plain_score(score), dataclasses.replace(ranked, vectors_nkd=vectors_nkd))
    places = found.text_to_item.places
    assert (int(places.best_q[0]), int(places.worst_q[0])) == (1, 2)


@pytest.mark.parametrize("score", PLAIN)
def test_clips_that_are_all_equal_are_found_by_chance(score: str) -> None:
    ranked = made(10)
    same = dataclasses.replace(ranked, vectors_nkd=ranked.vectors_nkd[:1].expand(10, -1, -1))
    found = rank_retrieval(plain_score(score), same)
    assert recall(found.text_to_item) == pytest.approx(10.0)
    assert recall(found.text_to_item, k=5) == pytest.approx(50.0)


@pytest.mark.parametrize("name", ["volume+bank", "trusted_residual", "whitened_residual+bank"])
def test_a_fit_on_clips_that_are_all_equal_ranks(name: str) -> None:
    ranked = made(16)
    same = dataclasses.replace(ranked, vectors_nkd=ranked.vectors_nkd[:1].expand(16, -1, -1))
    found = rank_retrieval(fit_score(parse_score(name), same), ranked)
    assert 0 <= recall(found.text_to_item) <= 100


@pytest.mark.parametrize("score", PLAIN)
@pytest.mark.parametrize("where", ["text", "clip"])
def test_a_vector_that_is_not_finite_is_refused(score: str, where: str) -> None:
    ranked = made(6)
    spoiled = {
        "text": {"text_qd": ranked.text_qd.index_fill(0, torch.tensor([2]), math.nan)},
        "clip": {"vectors_nkd": ranked.vectors_nkd.index_fill(0, torch.tensor([2]), math.nan)},
    }[where]
    with pytest.raises(ValueError, match="are not finite and cannot be ranked"):
        rank_retrieval(plain_score(score), dataclasses.replace(ranked, **spoiled))


@pytest.mark.parametrize("score", PLAIN)
def test_a_gallery_of_one_is_always_found(score: str) -> None:
    found = rank_retrieval(plain_score(score), made(1))
    for one in (found.text_to_item, found.item_to_text):
        assert summarize_places(one.places, recall_at=(1, 10)) == {
            "R@1": 100.0,
            "R@10": 100.0,
            "median_rank": 1.0,
            "mean_rank": 1.0,
        }


@pytest.fixture
def uneven() -> RankedSet:
    """Two clips: seven captions of the one, the last of which is right; one of the other."""
    ranked = made(2)
    wrong_qd = ranked.text_qd[1:].expand(6, -1)
    return dataclasses.replace(
        ranked,
        text_qd=torch.cat([wrong_qd, ranked.text_qd]),
        text_group_q=torch.tensor([0] * 7 + [1]),
    )


def test_each_of_seven_captions_is_a_query(uneven: RankedSet) -> None:
    found = rank_retrieval(plain_score("volume"), uneven).text_to_item
    assert found.places.best_q.tolist() == [2] * 6 + [1, 1]
    assert recall(found) == pytest.approx(25.0)


def test_the_best_of_seven_captions_counts_for_its_clip(uneven: RankedSet) -> None:
    found = rank_retrieval(plain_score("volume"), uneven).text_to_item.best_of_clusters()
    assert found.places.best_q.tolist() == [1, 1]
    assert found.query_r.tolist() == [6, 7]


def test_the_nearest_of_seven_captions_counts_for_its_clip(uneven: RankedSet) -> None:
    found = rank_retrieval(plain_score("volume"), uneven).item_to_text
    # Six wrong captions of clip 0 are equal to the one of clip 1, so that it may come last of them.
    assert found.places.best_q.tolist() == [1, 1]
    assert found.places.worst_q.tolist() == [1, 7]


@pytest.mark.parametrize("score", ["volume", "residual", "eigenvalue", "product", "cosine_mean"])
def test_what_stands_in_a_missing_row_moves_no_place(score: str) -> None:
    ranked = made(8)
    present_nk = ranked.present_nk.clone()
    present_nk[::2, 1] = False
    places = []
    for filler in (0.0, math.nan):
        vectors_nkd = ranked.vectors_nkd.masked_fill(~present_nk.unsqueeze(-1), filler)
        partial = dataclasses.replace(ranked, present_nk=present_nk, vectors_nkd=vectors_nkd)
        places.append(rank_retrieval(plain_score(score), partial).text_to_item.places.best_q)
    assert torch.equal(*places)
    assert places[0].tolist() == [1] * 8


def test_a_clip_without_the_modality_of_a_cosine_is_orthogonal_to_every_text() -> None:
    ranked = made(4)
    present_nk = ranked.present_nk.clone()
    present_nk[0, 1] = False
    partial = dataclasses.replace(ranked, present_nk=present_nk)
    found = rank_retrieval(plain_score("cosine_audio"), partial)
    assert int(found.text_to_item.places.worst_q[0]) > 1
    assert found.text_to_item.places.best_q[1:].tolist() == [1, 1, 1]


def test_a_mask_of_another_shape_is_refused() -> None:
    ranked = made(4)
    with pytest.raises(ValueError, match=r"present_nk has shape \(4, 1\), not \(4, 2\)"):
        dataclasses.replace(ranked, present_nk=ranked.present_nk[:, :1])


def test_a_triangle_with_a_missing_corner_is_refused() -> None:
    ranked = made(4)
    present_nk = ranked.present_nk.clone()
    present_nk[0, 1] = False
    with pytest.raises(ValueError, match="a triangle needs both vectors of an item, found 1 items"):
        rank_retrieval(plain_score("area"), dataclasses.replace(ranked, present_nk=present_nk))
