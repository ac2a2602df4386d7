"""Rule place_annotation: receipt of a source -> one of its files, where it is wanted."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.fetch.sources import place_annotation
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    place_annotation(Path(snakemake.input.receipt), annotation=Path(snakemake.output.annotation))
