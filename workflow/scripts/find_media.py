"""Rule find_media: the media folder of a data set -> a receipt, or what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.probe import confirm_media
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    confirm_media(Path(snakemake.params.folder), receipt=Path(snakemake.output.receipt))
