"""Rule make_clips: annotation files of a data set -> its table of clips, and its parts."""

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.annotations import make_clips
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    make_clips(
        [
            (split, Path(path))
            for path, split in zip_longest(snakemake.input.annotations, snakemake.params.splits)
        ],
        Path(snakemake.output.clips),
        format_name=snakemake.params.format_name,
        chunks=snakemake.params.chunks,
    )
