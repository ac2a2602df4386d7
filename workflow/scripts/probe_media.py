"""Rule probe_media: clips of a chunk and their folder -> what each media file holds."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.probe import Known, probe_chunk
from gram.jobs import NoSettings
from gram.workflow import job, optional_path

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    probe_chunk(
        Path(snakemake.input.clips),
        media=Path(snakemake.params.folder),
        chunk=int(snakemake.wildcards.chunk),
        chunks=snakemake.params.chunks,
        output=Path(snakemake.output.table),
        workers=snakemake.threads,
        known=Known(
            memory=Path(snakemake.params.memory),
            fetched=optional_path(snakemake.input.fetched),
        ),
    )
