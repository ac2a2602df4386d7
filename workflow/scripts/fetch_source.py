"""Rule fetch_source: what the table of sources says -> the file, and a receipt."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.fetch.sources import receive
from gram.jobs import SourceSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, SourceSettings) as settings:
    receive(
        snakemake.wildcards.source,
        settings.source,
        folder=Path(snakemake.params.folder),
        media=snakemake.params.media,
        receipt=Path(snakemake.output.receipt),
    )
