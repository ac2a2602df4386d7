"""Rule find_annotations: the annotation files of a data set -> a receipt, or which is absent."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.annotations import confirm_annotations
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    confirm_annotations(
        [Path(path) for path in snakemake.params.files], receipt=Path(snakemake.output.receipt)
    )
