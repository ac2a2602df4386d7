"""Rule draw_strata: places of all queries -> recall by length of caption and clip."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.strata import draw_strata
from gram.jobs import StrataSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, StrataSettings) as settings:
    draw_strata(
        Path(snakemake.input.places),
        index=Path(snakemake.input.index[0]),
        settings=settings,
        svg=Path(snakemake.output.svg),
    )
