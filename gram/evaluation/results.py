"""The scores of one run on one benchmark, as the JSON file between scoring, tables and report.

``results/scores/<run>/<benchmark>.json`` holds a ``BenchmarkScores``: what was ranked and with
which clip ids, how it came about (``origin``), and each score in both directions. Keys are those of
the classes below, in their order.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gram.config import LETTERS, EvaluationConfig, ProtocolConfig
from gram.files import write_text
from gram.types import Modality


def letters(modalities: Iterable[Modality]) -> str:
    """Give modalities of clips as letters, with the text in front.

    Example:
        >>> letters([Modality.VIDEO, Modality.AUDIO])
        'TVA'
    """
    return "".join(LETTERS[name] for name in (Modality.TEXT, *modalities)).upper()


class _Record(BaseModel):
    """Base of the records: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Record):
    """How the vectors that are ranked came about.

    Attributes:
        lineage: The run, the run that its pretraining starts from, the one before that, and so on.
        checkpoint: Path of the checkpoint in the workflow: below ``pretrained`` or, if the run was
            finetuned for the benchmark, below ``finetuned``.
        checkpoint_sha256: SHA-256 of the checkpoint, hexadecimal.
        index_sha256: SHA-256 of the index of the shards that clips were read from.
        frames: Frames, and depth maps, read of each clip.
        missing: What became of clips that lack a modality: left out, or kept with a mask.
    """

    lineage: tuple[str, ...] = Field(min_length=1)
    checkpoint: str
    checkpoint_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    index_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    frames: int = Field(ge=1)
    missing: Literal["drop", "mask"]


class FittedNumbers(_Record):
    """What was fitted for a score, once.

    Attributes:
        lambdas: Trust of each modality of the score; none stands for infinite, not trusted at all.
        shrinkage: Of the whitening.
        hubs: Of the correction, by direction: inverse temperature and weight.
    """

    lambdas: tuple[float | None, ...] | None = None
    shrinkage: float | None = None
    hubs: dict[str, tuple[float, float]] | None = None


class FitRecord(_Record):
    """On what a score was fitted.

    Attributes:
        split: Split that was fitted on; none: halves of the ranked clips.
        clips: Number of clips that it was fitted on.
        numbers: What was fitted: once, or for each of the halves.
    """

    split: str | None
    clips: int = Field(ge=1)
    numbers: tuple[FittedNumbers, ...]


class ScoreResult(_Record):
    """What one score gives in both directions.

    Attributes:
        near_is: Which end of the score is near.
        gallery: Number of clips among which each text was searched.
        is_transductive: Whether the place of a query depends on the other queries.
        fit: On what it was fitted; none: nothing in it is.
        text_to_item: ``R@K`` in percent for each K, ``median_rank`` and ``mean_rank``.
        item_to_text: The same the other way round.
        intervals: By direction and name, the 95 % interval of each of these.
        ties_won: By direction, the recalls if every tie went to the right candidate, as others
            often count.
    """

    near_is: Literal["small", "large"]
    gallery: int = Field(ge=1)
    is_transductive: bool = False
    fit: FitRecord | None = None
    text_to_item: dict[str, float]
    item_to_text: dict[str, float]
    intervals: dict[str, dict[str, tuple[float, float]]]
    ties_won: dict[str, dict[str, float]]


class BenchmarkScores(_Record):
    """What was ranked, and how well.

    Attributes:
        run: Name of the run.
        benchmark: Name of the benchmark.
        dataset: Data set of the benchmark.
        split: Split of the data set that is ranked.
        modalities: Modalities of the clips, in the project's order.
        gallery: Number of clips that are ranked, N.
        queries: Number of queries from text to item: captions, or names of classes.
        counts: What became of the rows of the split.
        trained_on: Number of gallery clips that the checkpoint's training saw.
        origin: How the vectors came about.
        protocol: What of the split is ranked, and by which queries.
        evaluation: The settings of the scores.
        clip_ids: The clips that are ranked, N of them, in the order of the vectors.
        scores: The result of each score.
    """

    run: str
    benchmark: str
    dataset: str
    split: str
    modalities: tuple[Modality, ...]
    gallery: int = Field(ge=1)
    queries: int = Field(ge=1)
    counts: dict[str, int]
    trained_on: int = Field(ge=0)
    origin: Origin
    protocol: ProtocolConfig
    evaluation: EvaluationConfig
    clip_ids: tuple[str, ...]
    scores: dict[str, ScoreResult]

    @property
    def letters(self) -> str:
        """Modalities as letters, the text first: ``TVAS``."""
        return letters(self.modalities)


def write_scores(scores: BenchmarkScores, path: Path) -> None:
    """Write the scores as JSON, whole or not at all."""
    write_text(path, scores.model_dump_json(indent=1) + "\n")


def read_scores(path: Path) -> BenchmarkScores:
    """Read what ``write_scores`` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not whole or is of another form.
    """
    try:
        return BenchmarkScores.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(
            f"{path} holds no scores ({where}: {first['msg']}); delete it and score again"
        ) from error
