"""Rule index_shards: indexes of a data set's chunks -> one index and a manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.shards import index_shards
from gram.jobs import IndexSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, IndexSettings) as settings:
    index_shards(
        settings.shards,
        indexes=[Path(path) for path in snakemake.input.indexes],
        output=Path(snakemake.output.index),
        manifest=Path(snakemake.output.manifest),
    )
