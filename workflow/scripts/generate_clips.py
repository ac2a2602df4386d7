"""Rule generate_clips: settings of a generated data set -> media and annotations."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.generate import generate_clips
from gram.jobs import GenerateSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, GenerateSettings) as settings:
    generate_clips(
        settings.dataset,
        chunk=int(snakemake.wildcards.chunk),
        media=Path(snakemake.params.media),
        annotations=Path(snakemake.output.annotations),
        workers=snakemake.threads,
    )
