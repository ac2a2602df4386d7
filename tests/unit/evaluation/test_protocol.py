"""Which of the embedded clips and texts are ranked, and how they are counted."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from gram.config import ProtocolConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.protocol import choose
from gram.types import Modality

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


@pytest.fixture
def partial(make_embeddings: MakeEmbeddings) -> BenchmarkEmbeddings:
    """Twelve clips of two captions each; 1 and 5 have no sound."""
    embeddings = make_embeddings(captions=2, trained_on=12)
    has_sound_n = torch.ones(12, dtype=torch.bool)
    has_sound_n[[1, 5]] = False
    present_n = {**embeddings.present_n, Modality.AUDIO: has_sound_n}
    counts = {"rows": 13, "unusable": 1, "used": 12, "used without audio": 2}
    return dataclasses.replace(
        embeddings, present_n=present_n, has_sound_n=has_sound_n, counts=counts
    )


def test_a_run_that_drops_clips_ranks_those_it_can_use(partial: BenchmarkEmbeddings) -> None:
    chosen = choose(partial, ProtocolConfig()).embeddings
    assert "test_0001" not in chosen.clip_ids
    assert chosen.counts == {"rows": 13, "unusable": 1, "without audio": 2, "used": 10}


def test_a_run_that_masks_ranks_all(partial: BenchmarkEmbeddings) -> None:
    masked = dataclasses.replace(
        partial, origin=partial.origin.model_copy(update={"missing": "mask"})
    )
    chosen = choose(masked, ProtocolConfig()).embeddings
    assert chosen.counts == {"rows": 13, "unusable": 1, "used": 12, "used without audio": 2}


def test_a_gallery_with_sound_is_the_same_for_a_run_without_audio(
    partial: BenchmarkEmbeddings,
) -> None:
    video = dataclasses.replace(
        partial,
        modalities=(Modality.VIDEO,),
        vectors_nd={Modality.VIDEO: partial.vectors_nd[Modality.VIDEO]},
        present_n={Modality.VIDEO: partial.present_n[Modality.VIDEO]},
    )
    sets = [
        choose(one, ProtocolConfig(gallery="with_sound")).embeddings for one in (partial, video)
    ]
    assert sets[0].clip_ids == sets[1].clip_ids
    assert sets[0].counts == {"rows": 13, "unusable": 1, "without sound": 2, "used": 10}


def test_a_gallery_of_all_has_clips_that_lack_a_modality(partial: BenchmarkEmbeddings) -> None:
    chosen = choose(partial, ProtocolConfig(gallery="all")).embeddings
    assert len(chosen.clip_ids) == 12
    assert chosen.present_nk[1].tolist() == [True, False]


def test_the_first_caption_of_each_clip_is_a_query(partial: BenchmarkEmbeddings) -> None:
    chosen = choose(partial, ProtocolConfig(gallery="all"))
    assert chosen.text_rows.tolist() == list(range(0, 24, 2))


@pytest.mark.parametrize("captions", ["all", "best"])
def test_every_caption_is_searched_with(partial: BenchmarkEmbeddings, captions: str) -> None:
    protocol = ProtocolConfig.model_validate({"captions": captions})
    chosen = choose(partial, protocol)
    assert len(chosen.embeddings.queries) == 20
    assert chosen.text_rows.tolist()[:4] == [0, 1, 4, 5]


def test_groups_are_rows_of_the_chosen_clips(partial: BenchmarkEmbeddings) -> None:
    chosen = choose(partial, ProtocolConfig()).embeddings
    assert chosen.clip_group_n.tolist() == list(range(10))
    assert chosen.text_group_q.tolist() == list(range(10))
    assert chosen.queries[1] == "caption 4 of the toys"


def test_as_many_clips_were_trained_on_as_are_left(partial: BenchmarkEmbeddings) -> None:
    assert choose(partial, ProtocolConfig()).embeddings.trained_on == 10


def test_an_empty_gallery_is_told(partial: BenchmarkEmbeddings) -> None:
    silent = dataclasses.replace(partial, has_sound_n=torch.zeros(12, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"no clip .* gallery 'with_sound' \(without sound 12\)"):
        choose(silent, ProtocolConfig(gallery="with_sound"))
