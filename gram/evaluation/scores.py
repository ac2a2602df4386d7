"""Scores of texts with clips: definitions by name, each with the end that is near.

Distances are sines of angles, or areas; similarities are cosines, eigenvalues, products. A
modality that a clip lacks changes neither a volume nor a residual, is left out of a product and a
mean, and counts as orthogonal to every text in the cosine to it alone.

Shape letters of this file: N texts, M clips, K modalities of a clip, D embedding width.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gram.config import Kind, ScoreSpec, parse_score
from gram.similarities import (
    pairwise_area,
    pairwise_leading_eigenvalue,
    pairwise_mean_cosine,
    pairwise_product,
)
from gram.types import Modality
from gram.volume import pairwise_residual, pairwise_trusted_residual, pairwise_volume

NearIs = Literal["small", "large"]
"""Which end of a score is near."""

PairScore = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Texts (N, D), clips (M, K, D) and which vectors they have (M, K) -> scores (N, M)."""


class Definition(NamedTuple):
    """What a kind of score computes.

    Attributes:
        near_is: Which end is near.
        pairs: The scores of all pairs.
        scale: What the scores are.
    """

    near_is: NearIs
    pairs: PairScore
    scale: Literal["sine", "area", "cosine", "eigenvalue"]


def _named(pairs: Callable[..., Tensor]) -> PairScore:
    """Give a function of all pairs the form of the registry."""

    def of_pairs(texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor) -> Tensor:
        return pairs(texts_nd, vectors_mkd, present_mk=present_mk)

    return of_pairs


_MEAN_COSINE = Definition("large", _named(pairwise_mean_cosine), "cosine")

DEFINITIONS: dict[Kind, Definition] = {
    "volume": Definition("small", _named(pairwise_volume), "sine"),
    "residual": Definition("small", _named(pairwise_residual), "sine"),
    "area": Definition("small", _named(pairwise_area), "area"),
    "eigenvalue": Definition("large", _named(pairwise_leading_eigenvalue), "eigenvalue"),
    "product": Definition("large", _named(pairwise_product), "cosine"),
    "cosine_mean": _MEAN_COSINE,
    "cosine_video": _MEAN_COSINE,
    "cosine_audio": _MEAN_COSINE,
    "cosine_subtitle": _MEAN_COSINE,
    "cosine_depth": _MEAN_COSINE,
}
"""Kinds of scores that need nothing but vectors. The cosine to one modality is a mean over it."""


def definition(kind: Kind, *, lambdas: Sequence[float] | None = None) -> Definition:
    """Give what a kind of score computes.

    Args:
        kind: Name of the kind.
        lambdas: Trusts of the modalities, for trusted and whitened kinds, which need them.

    Raises:
        ValueError: If the kind needs lambdas and there are none.
    """
    if kind in DEFINITIONS:
        return DEFINITIONS[kind]
    if lambdas is None:
        raise ValueError(
            f"the score {kind!r} needs trusts that are fitted on other clips; fit it, or take "
            "another score"
        )
    trusts = tuple(lambdas)

    def pairs(texts_nd: Tensor, vectors_mkd: Tensor, present_mk: Tensor) -> Tensor:
        return pairwise_trusted_residual(
            texts_nd, vectors_mkd, lambdas=trusts, present_mk=present_mk
        )

    if kind == "trusted_similarity":
        return Definition("large", lambda *given: 1 - pairs(*given).square(), "cosine")
    return Definition("small", pairs, "sine")


def as_cosine(scores: Tensor, *, of: Definition, num_modalities: int) -> Tensor:
    """Put a score on a scale of cosines, large is near: that on which hubs are corrected.

    A sine becomes the cosine of its angle, an area its opposite, and an eigenvalue of a text with
    K vectors its excess over 1, divided by K.
    """
    match of.scale:
        case "sine":
            return (1 - scores.square()).clamp_min(0).sqrt()
        case "area":
            return -scores
        case "eigenvalue":
            return (scores - 1) / num_modalities
        case "cosine":
            return scores


def near_is(score: str) -> NearIs:
    """Say which end of a score is near; corrected and re-ranked ones are all similarities.

    Example:
        >>> near_is("volume"), near_is("cosine_video"), near_is("volume+bank")
        ('small', 'large', 'large')
    """
    spec = parse_score(score)
    if spec.correction is not None or spec.is_reranked:
        return "large"
    return definition(spec.kind, lambdas=()).near_is


def pairwise_score(
    score: str | ScoreSpec,
    texts_nd: Tensor,
    *,
    vectors_mkd: Tensor,
    present_mk: Tensor,
    modalities: Sequence[Modality],
) -> Tensor:
    """Compute one score of every text with every clip; ``near_is`` says which end is near.

    Args:
        score: Name of a score in which nothing is fitted.
        texts_nd: Vectors of the texts, of unit length, float, shape (N, D).
        vectors_mkd: Vectors of the clips, of unit length, float, shape (M, K, D).
        present_mk: Which clips have which modality, bool, shape (M, K); one each at least.
        modalities: Names of the K modalities.

    Returns:
        Scores, float32 (float64 if the vectors are), shape (N, M), unitless; volumes and residuals
        in [0, 1], cosines in [-1, 1].

    Raises:
        ValueError: If the score needs a modality that is not among ``modalities``, or is fitted.
    """
    spec = parse_score(score) if isinstance(score, str) else score
    if spec.is_fitted or spec.is_reranked:
        raise ValueError(
            f"the score {spec.name!r} needs more than vectors: other clips, or the matching head; "
            "take its first part alone"
        )
    wanted = spec.modalities_of(tuple(modalities))
    columns = torch.tensor([list(modalities).index(name) for name in wanted])
    if list(wanted) != list(modalities):
        vectors_mkd, present_mk = vectors_mkd[:, columns], present_mk[:, columns]
    return definition(spec.kind).pairs(texts_nd, vectors_mkd, present_mk)
