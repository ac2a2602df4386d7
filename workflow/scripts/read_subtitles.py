"""Rule read_subtitles: probed clips of a chunk -> their subtitles."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.subtitles import read_subtitles
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    read_subtitles(Path(snakemake.input.probed), Path(snakemake.output.table))
