"""Rule import_weights: weight files of others -> a checkpoint of this project."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.jobs import ImportSettings
from gram.released import import_weights
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ImportSettings) as settings:
    import_weights(settings, output=Path(snakemake.output.checkpoint))
