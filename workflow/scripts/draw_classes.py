"""Rule draw_classes: embeddings of a classification -> the figure of its classes."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.classes import draw_classes
from gram.jobs import FigureSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, FigureSettings) as settings:
    draw_classes(
        Path(snakemake.input.ranked[0]).parent,
        protocol=settings.protocol,
        svg=Path(snakemake.output.svg),
    )
