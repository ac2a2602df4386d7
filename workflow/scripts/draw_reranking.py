"""Rule draw_reranking: embeddings and matched pairs -> recall by K of re-ranking."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.reranking import draw_reranking
from gram.jobs import ScoreSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ScoreSettings) as settings:
    draw_reranking(
        Path(snakemake.input.ranked[0]).parent,
        matches=Path(snakemake.input.matches[0]),
        settings=settings,
        svg=Path(snakemake.output.svg),
    )
