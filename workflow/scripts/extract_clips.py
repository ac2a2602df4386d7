"""Rule extract_clips: probed clips of a chunk -> their frames and sound in one tar."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.extract import extract_chunk
from gram.jobs import ExtractSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ExtractSettings) as settings:
    extract_chunk(
        settings.extraction,
        probed=Path(snakemake.input.probed),
        archive=Path(snakemake.output.archive),
        table=Path(snakemake.output.table),
        workers=snakemake.threads,
    )
