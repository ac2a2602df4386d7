"""Rule score_retrieval: embeddings of a benchmark -> recalls and places in both directions."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.evaluation.scoring import score_retrieval
from gram.jobs import ScoreSettings
from gram.workflow import job, tracked

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ScoreSettings) as settings, tracked(snakemake) as tracker:
    score_retrieval(
        Path(snakemake.input.ranked[0]).parent,
        fit_folder=next((Path(path).parent for path in snakemake.input.fitted), None),
        matches=next(map(Path, snakemake.input.matches), None),
        settings=settings,
        scores=Path(snakemake.output.scores),
        places=Path(snakemake.output.places),
        tracker=tracker,
    )
