"""Rule read_depth: probed clips of a chunk -> their depth maps in one tar."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.depth import read_depth
from gram.jobs import ExtractSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ExtractSettings) as settings:
    read_depth(
        settings.extraction,
        probed=Path(snakemake.input.probed),
        archive=Path(snakemake.output.archive),
        table=Path(snakemake.output.table),
    )
