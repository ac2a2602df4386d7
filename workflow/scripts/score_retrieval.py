"""Rule score_retrieval: embeddings of a benchmark -> recalls in both directions."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.evaluation.retrieval import score_retrieval
from gram.jobs import ScoreSettings
from gram.workflow import job, tracked

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ScoreSettings) as settings, tracked(snakemake) as tracker:
    score_retrieval(
        Path(snakemake.input.embeddings),
        settings=settings.evaluation,
        output=Path(snakemake.output.scores),
        tracker=tracker,
    )
