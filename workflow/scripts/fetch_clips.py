"""Rule fetch_clips: clips of a chunk -> their media files, and what became of each."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.fetch.clips import fetch_chunk
from gram.fetch.places import find_places
from gram.jobs import ClipSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ClipSettings) as settings:
    annotations = [Path(path) for path in snakemake.input.annotations]
    fetch_chunk(
        find_places(settings.site, Path(snakemake.input.clips), annotations=annotations),
        Path(snakemake.params.folder),
        settings=settings.fetch,
        table=Path(snakemake.output.table),
        label=f"fetching {snakemake.wildcards.dataset}, chunk {snakemake.wildcards.chunk}",
    )
