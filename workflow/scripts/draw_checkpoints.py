"""Rule draw_checkpoints: scores and embeddings of runs -> volume against recall."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.checkpoints import draw_checkpoints
from gram.jobs import FigureSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, FigureSettings) as settings:
    draw_checkpoints(
        [Path(path) for path in snakemake.input.scores],
        folders=list(dict.fromkeys(Path(path).parent for path in snakemake.input.ranked)),
        protocol=settings.protocol,
        svg=Path(snakemake.output.svg),
    )
