"""Rule read_depth: probed clips of a chunk -> their depth maps in one tar."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.depth import read_depth
from gram.jobs import DepthSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, DepthSettings) as settings:
    read_depth(
        settings.pictures,
        probed=Path(snakemake.input.probed),
        archive=Path(snakemake.output.archive),
        table=Path(snakemake.output.table),
    )
