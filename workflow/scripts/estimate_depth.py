"""Rule estimate_depth: frames of a chunk's clips -> their depth maps in one tar."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.device import choose_device
from gram.jobs import EstimateSettings
from gram.perception.depth import estimate_depth
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, EstimateSettings) as settings:
    estimate_depth(
        settings.estimate,
        extracted=Path(snakemake.input.extracted),
        extraction_table=Path(snakemake.input.extraction_table),
        archive=Path(snakemake.output.archive),
        table=Path(snakemake.output.table),
        device=choose_device(snakemake.resources.gpu),
    )
