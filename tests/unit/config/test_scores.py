"""Names of scores: what they say, and what is said of those that are none."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from gram.config import PlainScoreName, ScoreName, parse_score
from gram.types import Modality

TVA = (Modality.VIDEO, Modality.AUDIO)


@pytest.mark.parametrize(
    "name",
    [
        "volume",
        "residual:tva",
        "cosine_video+bank",
        "cosine_mean:tvs+bank@20",
        "whitened_residual+dual_softmax",
        "volume:tva+rerank",
        "cosine_video+bank@12.5+rerank:tvas",
    ],
)
def test_a_name_is_that_of_what_it_says(name: str) -> None:
    assert parse_score(name).name == name


def test_modalities_are_put_in_the_usual_order() -> None:
    assert TypeAdapter(ScoreName).validate_python("volume:tav") == "volume:tva"


def test_a_score_without_letters_takes_what_there_is() -> None:
    assert parse_score("volume").modalities_of(TVA) == TVA


def test_a_cosine_takes_its_own_modality() -> None:
    assert parse_score("cosine_audio").modalities_of(TVA) == (Modality.AUDIO,)


def test_the_matching_head_reads_what_the_score_takes_or_what_is_asked_for() -> None:
    assert parse_score("cosine_video+rerank").read_of(TVA) == (Modality.VIDEO,)
    assert parse_score("cosine_video+rerank:tva").read_of(TVA) == TVA


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("volum", "'volum' is no score; write a kind (volume, residual, "),
        ("volume+rerank+bank", "+bank or +dual_softmax, +rerank, in that order"),
        ("volume:va", "modalities as letters (:tva)"),
        ("volume:tvv", "'volume:tvv' names a modality twice"),
        ("cosine_video:tv", "'cosine_video:tv' names its modality twice; write 'cosine_video'"),
        ("volume+bank@0", "has an inverse temperature of 0"),
    ],
)
def test_a_name_of_no_score_is_told_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_score(name)


@pytest.mark.parametrize("name", ["volume+bank", "trusted_residual", "volume+rerank"])
def test_a_score_that_needs_more_than_vectors_is_not_plain(name: str) -> None:
    with pytest.raises(ValidationError, match="needs more than the vectors of the clips"):
        TypeAdapter(PlainScoreName).validate_python(name)


def test_the_area_needs_two_modalities() -> None:
    with pytest.raises(ValueError, match=r"area of a triangle .* found video, audio, subtitle"):
        parse_score("area").modalities_of((*TVA, Modality.SUBTITLE))


def test_a_score_that_looks_at_all_queries_says_so() -> None:
    assert parse_score("volume+dual_softmax").is_transductive
    assert not parse_score("volume+bank").is_transductive
