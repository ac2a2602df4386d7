"""The scores of one run on one benchmark, as the JSON file between scoring, tables and report."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gram.files import write_text
from gram.types import Modality

_LETTERS = {
    Modality.TEXT: "T",
    Modality.VIDEO: "V",
    Modality.AUDIO: "A",
    Modality.SUBTITLE: "S",
    Modality.DEPTH: "D",
}


class _Record(BaseModel):
    """Base of the records: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScoreResult(_Record):
    """What one score gives in both directions.

    Attributes:
        near_is: Which end of the score is near.
        text_to_item: ``R@K`` in percent for each K, ``median_rank`` and ``mean_rank``.
        item_to_text: The same the other way round.
    """

    near_is: Literal["small", "large"]
    text_to_item: dict[str, float]
    item_to_text: dict[str, float]


class BenchmarkScores(_Record):
    """What was ranked, and how well.

    Attributes:
        run: Name of the run.
        benchmark: Name of the benchmark.
        dataset: Data set of the benchmark.
        split: Split of the data set that is ranked.
        modalities: Modalities of the clips, in the project's order.
        gallery: Number of clips that are ranked, N.
        queries: Number of captions.
        counts: What became of the rows of the split.
        trained_on: Number of gallery clips that the checkpoint's training saw.
        clip_ids: The clips that are ranked.
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
    clip_ids: tuple[str, ...]
    scores: dict[str, ScoreResult]

    @property
    def letters(self) -> str:
        """Modalities as letters, the text first: ``TVAS``."""
        return "".join(_LETTERS[name] for name in (Modality.TEXT, *self.modalities))


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
