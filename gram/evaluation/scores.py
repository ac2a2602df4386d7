"""Scores of texts with clips: the volume of the paper, its residual, and the cosines.

Every score says which end is near: a small volume or residual, a large cosine.

Shape letters of this file: N texts, M clips, K modalities of a clip, D embedding width.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from gram.config import ScoreName
from gram.similarities import pairwise_mean_cosine
from gram.types import Modality
from gram.volume import pairwise_residual, pairwise_volume

NearIs = Literal["small", "large"]
"""Which end of a score is near."""


def near_is(score: ScoreName) -> NearIs:
    """Say which end of a score is near.

    Example:
        >>> near_is("volume"), near_is("cosine_video")
        ('small', 'large')
    """
    return "small" if score in ("volume", "residual") else "large"


def pairwise_score(
    score: ScoreName,
    texts_nd: Tensor,
    *,
    vectors_mkd: Tensor,
    present_mk: Tensor,
    modalities: Sequence[Modality],
) -> Tensor:
    """Compute one score of every text with every clip; ``near_is`` says which end is near.

    A modality that a clip lacks changes neither volume nor residual. In the cosine to that
    modality the clip counts as orthogonal to every text: 0. ``cosine_mean`` is the mean over the
    modalities that the clip has.

    Args:
        score: Name of the score.
        texts_nd: Vectors of the texts, of unit length, float, shape (N, D).
        vectors_mkd: Vectors of the clips, of unit length, float, shape (M, K, D).
        present_mk: Which clips have which modality, bool, shape (M, K); one each at least.
        modalities: Names of the K modalities.

    Returns:
        Scores, float32 (float64 if the vectors are), shape (N, M), unitless; volumes and residuals
        in [0, 1], cosines in [-1, 1].

    Raises:
        ValueError: If the score is the cosine to a modality that is not among ``modalities``.
    """
    if score == "volume":
        return pairwise_volume(texts_nd, vectors_mkd, present_mk=present_mk)
    if score == "residual":
        return pairwise_residual(texts_nd, vectors_mkd, present_mk=present_mk)
    if score != "cosine_mean":
        column = [_column(score, modalities)]
        vectors_mkd, present_mk = vectors_mkd[:, column], present_mk[:, column]
    return pairwise_mean_cosine(texts_nd, vectors_mkd, present_mk=present_mk)


def _column(score: ScoreName, modalities: Sequence[Modality]) -> int:
    wanted = score.removeprefix("cosine_")
    if wanted not in modalities:
        raise ValueError(
            f"the score {score!r} needs the modality {wanted!r}; the embeddings hold "
            f"{', '.join(modalities) or 'none'}; choose another score"
        )
    return list(modalities).index(Modality(wanted))
