import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.config import ScoreName
from gram.evaluation.scores import near_is, pairwise_score
from gram.types import Modality

Floats = NDArray[np.float64]
PairScore = Callable[[Floats, Floats], float]

MODALITIES = (Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE)


@pytest.fixture
def texts_nd() -> Tensor:
    return _unit(5, 8, seed=1)


@pytest.fixture
def vectors_mkd() -> Tensor:
    return _unit(7, 3, 8, seed=2)


@pytest.fixture
def present_mk() -> Tensor:
    present_mk = torch.ones(7, 3, dtype=torch.bool)
    present_mk[2, 1] = present_mk[4, 0] = present_mk[4, 2] = False
    return present_mk


def _unit(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def _score(score: ScoreName, texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor) -> Floats:
    return pairwise_score(
        score, texts_nd, vectors_mkd=vectors_mkd, present_mk=present_mk, modalities=MODALITIES
    ).numpy()


def _loop(texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor, of_pair: PairScore) -> Floats:
    """Score each pair by itself, from the vectors that are there, in float64."""
    texts, vectors = texts_nd.double().numpy(), vectors_mkd.double().numpy()
    scores = np.zeros((len(texts), len(vectors)))
    for i, j in itertools.product(range(len(texts)), range(len(vectors))):
        scores[i, j] = of_pair(texts[i], vectors[j][present_mk[j].numpy()])
    return scores


def _volume(rows: Floats) -> float:
    return float(np.prod(np.linalg.svd(rows, compute_uv=False)))


@pytest.mark.parametrize(
    ("score", "of_pair"),
    [
        ("volume", lambda text, rows: _volume(np.vstack([text, rows]))),
        ("residual", lambda text, rows: _volume(np.vstack([text, rows])) / _volume(rows)),
        ("cosine_mean", lambda text, rows: np.mean([row @ text for row in rows])),
    ],
    ids=["volume", "residual", "cosine mean"],
)
def test_a_score_is_that_of_each_pair_alone(
    texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor, score: ScoreName, of_pair: PairScore
) -> None:
    expected = _loop(texts_nd, vectors_mkd, present_mk, of_pair)
    found = _score(score, texts_nd, vectors_mkd, present_mk)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_cosine_is_the_inner_product_with_its_modality(
    texts_nd: Tensor, vectors_mkd: Tensor
) -> None:
    all_there = torch.ones(7, 3, dtype=torch.bool)
    found = _score("cosine_audio", texts_nd, vectors_mkd, all_there)
    expected = _loop(texts_nd, vectors_mkd, all_there, lambda text, rows: rows[1] @ text)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_cosine_to_a_missing_modality_is_0(
    texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor
) -> None:
    assert not _score("cosine_audio", texts_nd, vectors_mkd, present_mk)[:, 2].any()


@pytest.mark.parametrize("score", ["volume", "residual", "cosine_audio", "cosine_mean"])
def test_what_stands_in_a_missing_row_counts_for_nothing(
    texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor, score: ScoreName
) -> None:
    spoiled_mkd = vectors_mkd.masked_fill(~present_mk.unsqueeze(-1), torch.nan)
    found = _score(score, texts_nd, spoiled_mkd, present_mk)
    np.testing.assert_array_equal(found, _score(score, texts_nd, vectors_mkd, present_mk))


@pytest.mark.parametrize(
    ("score", "direction"),
    [
        ("volume", "small"),
        ("residual", "small"),
        ("cosine_depth", "large"),
        ("cosine_mean", "large"),
    ],
)
def test_every_score_says_which_end_is_near(score: ScoreName, direction: str) -> None:
    assert near_is(score) == direction


def test_a_vector_is_near_to_itself_by_every_score(vectors_mkd: Tensor) -> None:
    same_mkd = vectors_mkd[:, :1].expand(-1, 3, -1)
    present_mk = torch.ones(7, 3, dtype=torch.bool)
    for score in ("residual", "cosine_video", "cosine_mean"):
        found = _score(score, same_mkd[:, 0], same_mkd, present_mk)
        best = found.argmin(1) if near_is(score) == "small" else found.argmax(1)
        assert best.tolist() == list(range(7))


def test_a_cosine_to_an_absent_modality_is_refused(
    texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor
) -> None:
    with pytest.raises(
        ValueError, match=r"needs the modality 'depth'; there are video, audio, subtitle"
    ):
        _score("cosine_depth", texts_nd, vectors_mkd, present_mk)


def test_scores_are_float32_under_autocast(
    texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _score("cosine_mean", texts_nd, vectors_mkd, present_mk)
    np.testing.assert_array_equal(found, _score("cosine_mean", texts_nd, vectors_mkd, present_mk))
