"""Names of scores: what compares a text with a clip, over which modalities, with which corrections.

``volume``, ``residual:tva``, ``cosine_video+bank``, ``trusted_residual:tvas+dual_softmax+rerank``:
a kind; behind a colon the letters of the modalities it takes, the text first (none: all of the
run); then a correction for hubs, at an inverse temperature (``+bank@20``) or at one that is fitted;
then, if the best are read by the matching head, ``+rerank``.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, WithJsonSchema

from gram.types import ITEM_MODALITIES, Modality

Kind = Literal[
    "volume",
    "residual",
    "trusted_residual",
    "trusted_similarity",
    "whitened_residual",
    "area",
    "eigenvalue",
    "product",
    "cosine_mean",
    "cosine_video",
    "cosine_audio",
    "cosine_subtitle",
    "cosine_depth",
]
"""What compares a text with a clip. Definitions and directions: gram/evaluation/scores.py."""

Correction = Literal["bank", "dual_softmax"]
"""What makes up for candidates that are near to every query: gram/evaluation/hubs.py."""

KINDS: tuple[Kind, ...] = get_args(Kind)
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)

LETTERS = {
    Modality.TEXT: "t",
    Modality.VIDEO: "v",
    Modality.AUDIO: "a",
    Modality.SUBTITLE: "s",
    Modality.DEPTH: "d",
}
"""Letter of each modality, in names of scores."""

FITTED_KINDS = ("trusted_residual", "trusted_similarity", "whitened_residual")
"""Kinds with numbers that are fitted, on other clips than those that are ranked."""

_PATTERN = (
    rf"^({'|'.join(KINDS)})(:t[vasd]+)?"
    rf"(\+({'|'.join(CORRECTIONS)})(@[0-9]+(\.[0-9]+)?)?)?(\+rerank(:t[vasd]+)?)?$"
)


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """A name of a score, read.

    Attributes:
        kind: What compares.
        modalities: Which modalities of the clip it takes; none: all that there are.
        correction: What is done about hubs, if anything is.
        beta: Its inverse temperature; none: fitted, for each direction.
        is_reranked: Whether the matching head reads the best.
        read: Modalities whose tokens it reads; none: those that the score takes.
    """

    kind: Kind
    modalities: tuple[Modality, ...] | None = None
    correction: Correction | None = None
    beta: float | None = None
    is_reranked: bool = False
    read: tuple[Modality, ...] | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether it has numbers that are fitted on other clips."""
        return self.kind in FITTED_KINDS or self.correction is not None

    @property
    def is_transductive(self) -> bool:
        """Whether the score of one query depends on the other queries that are ranked."""
        return self.correction == "dual_softmax"

    @property
    def first_stage(self) -> "ScoreSpec":
        """The score whose best candidates are read; itself, if none are."""
        return replace(self, is_reranked=False, read=None)

    @property
    def name(self) -> str:
        """The name that gives this."""
        parts = [self.kind + _letters(self.modalities)]
        if self.correction:
            parts.append(self.correction + ("" if self.beta is None else f"@{self.beta:g}"))
        if self.is_reranked:
            parts.append("rerank" + _letters(self.read))
        return "+".join(parts)

    def read_of(self, given: tuple[Modality, ...]) -> tuple[Modality, ...]:
        """Give the modalities that the matching head reads, of those that there are.

        Raises:
            ValueError: If one of them is not among those given.
        """
        wanted = self.read or self.modalities_of(given)
        absent = [name for name in wanted if name not in given]
        if absent:
            raise ValueError(
                f"the score {self.name!r} has the matching head read {absent[0].value!r}; there "
                f"are {', '.join(given) or 'none'}; choose another score"
            )
        return wanted

    def modalities_of(self, given: tuple[Modality, ...]) -> tuple[Modality, ...]:
        """Give the modalities it takes of a clip's, in the project's order.

        Raises:
            ValueError: If one of them is not among those given, or their number does not fit.
        """
        wanted = self.modalities or given
        if self.kind.startswith("cosine_") and self.kind != "cosine_mean":
            wanted = (Modality(self.kind.removeprefix("cosine_")),)
        absent = [name for name in wanted if name not in given]
        if absent:
            raise ValueError(
                f"the score {self.name!r} needs the modality {absent[0].value!r}; there are "
                f"{', '.join(given) or 'none'}; choose another score"
            )
        if self.kind == "area" and len(wanted) != 2:
            raise ValueError(
                f"the score {self.name!r} is the area of a triangle of text and two modalities, "
                f"found {', '.join(wanted)}; name two, such as area:tva"
            )
        return wanted


def _letters(modalities: tuple[Modality, ...] | None) -> str:
    return ":t" + "".join(LETTERS[name] for name in modalities) if modalities else ""


def _modalities(letters: str | None, *, of: str) -> tuple[Modality, ...] | None:
    """Read modalities that are written as ``:tva``, in the project's order."""
    if letters is None:
        return None
    given = letters.removeprefix(":t")
    chosen = tuple(name for name in ITEM_MODALITIES if LETTERS[name] in given)
    if len(chosen) != len(given):
        raise ValueError(f"{of!r} names a modality twice; name each once")
    return chosen


@lru_cache(maxsize=256)
def parse_score(name: str) -> ScoreSpec:
    """Read the name of a score.

    Raises:
        ValueError: If it is none; says which part is wrong.

    Example:
        >>> parse_score("residual:tva+bank").modalities
        (<Modality.VIDEO: 'video'>, <Modality.AUDIO: 'audio'>)
        >>> parse_score("volume+rerank").name
        'volume+rerank'
    """
    found = re.match(_PATTERN, name)
    if found is None:
        raise ValueError(
            f"{name!r} is no score; write a kind ({', '.join(KINDS)}), then, if wanted, modalities "
            f"as letters (:tva), +{' or +'.join(CORRECTIONS)}, +rerank, in that order"
        )
    chosen = _modalities(found[2], of=name)
    if chosen and found[1].startswith("cosine_") and found[1] != "cosine_mean":
        raise ValueError(f"{name!r} names its modality twice; write {found[1]!r}")
    kind = next(one for one in KINDS if one == found[1])
    correction = next((one for one in CORRECTIONS if one == found[4]), None)
    beta = float(found[5].removeprefix("@")) if found[5] else None
    if beta == 0:
        raise ValueError(
            f"{name!r} has an inverse temperature of 0; write one above it, such as 20"
        )
    return ScoreSpec(
        kind=kind,
        modalities=chosen,
        correction=correction,
        beta=beta,
        is_reranked=found[7] is not None,
        read=_modalities(found[8], of=name),
    )


def _checked(name: str) -> str:
    """Check a name and write it in the one form: modalities in the project's order."""
    return parse_score(name).name


ScoreName = Annotated[
    str, AfterValidator(_checked), WithJsonSchema({"type": "string", "pattern": _PATTERN})
]
"""The name of a score in the settings."""


def is_plain(name: str) -> bool:
    """Whether a score is computed from vectors alone, with nothing fitted and nothing read."""
    spec = parse_score(name)
    return not (spec.is_fitted or spec.is_reranked)


def _plain(name: str) -> str:
    if not is_plain(name):
        raise ValueError(
            f"{name!r} needs more than the vectors of the clips that are ranked; take a score "
            f"without +bank, +dual_softmax, +rerank, and not {' or '.join(FITTED_KINDS)}"
        )
    return name


PlainScoreName = Annotated[ScoreName, AfterValidator(_plain)]
"""The name of a score that is computed from vectors alone, with nothing fitted."""
