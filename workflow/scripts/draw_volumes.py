"""Rule draw_volumes: embeddings of a benchmark -> the figure of volumes."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.volumes import draw_volumes
from gram.jobs import FigureSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, FigureSettings) as settings:
    draw_volumes(
        Path(snakemake.input.ranked[0]).parent,
        protocol=settings.protocol,
        svg=Path(snakemake.output.svg),
    )
