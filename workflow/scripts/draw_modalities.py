"""Rule draw_modalities: scores of runs -> recall by modalities."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.modalities import draw_modalities
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    draw_modalities(
        [Path(path) for path in snakemake.input.scores],
        svg=Path(snakemake.output.svg),
    )
