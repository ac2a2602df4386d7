"""Texts and clips as plain tensors: parts of them, and what belongs together."""

import dataclasses

import pytest
import torch

from gram.evaluation.ranked import RankedSet, paired_set
from gram.types import Modality


@pytest.fixture
def ranked() -> RankedSet:
    """Five clips with 7, 1, 0, 2 and 1 texts; a text's vector is its number."""
    group_q = torch.tensor([0] * 7 + [1] + [3] * 2 + [4])
    return RankedSet(
        text_qd=torch.arange(11.0).unsqueeze(1).expand(11, 4),
        text_group_q=group_q,
        vectors_nkd=torch.arange(5.0).reshape(5, 1, 1).expand(5, 2, 4),
        present_nk=torch.ones(5, 2, dtype=torch.bool),
        clip_group_n=torch.arange(5),
        modalities=(Modality.VIDEO, Modality.AUDIO),
    )


def test_some_clips_keep_their_own_texts(ranked: RankedSet) -> None:
    part = ranked.of_clips(torch.tensor([1, 3]))
    assert part.text_qd[:, 0].tolist() == [7.0, 8.0, 9.0]
    assert part.clip_group_n.tolist() == [1, 3]


def test_first_texts_are_those_of_each_clip(ranked: RankedSet) -> None:
    assert ranked.first_texts().text_qd[:, 0].tolist() == [0.0, 7.0, 8.0, 10.0]


def test_halves_have_all_clips_once(ranked: RankedSet) -> None:
    first, second = ranked.halves(3)
    assert sorted([*first.tolist(), *second.tolist()]) == [0, 1, 2, 3, 4]
    assert all(torch.equal(a, b) for a, b in zip(ranked.halves(3), (first, second), strict=True))


def test_other_seeds_draw_other_halves() -> None:
    clips = paired_set(torch.eye(12), {Modality.VIDEO: torch.eye(12)})
    assert not torch.equal(clips.halves(0)[0], clips.halves(1)[0])


def test_modalities_are_chosen_in_the_order_asked_for(ranked: RankedSet) -> None:
    assert ranked.of_modalities([Modality.AUDIO]).vectors_nkd.shape == (5, 1, 4)


def test_parts_that_do_not_fit_are_named(ranked: RankedSet) -> None:
    with pytest.raises(ValueError, match=r"clip_group_n has shape \(4,\), not \(5,\)"):
        dataclasses.replace(ranked, clip_group_n=torch.arange(4))
