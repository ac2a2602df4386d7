"""Rule pack_shards: frames, sound, subtitles and depth of a chunk -> its shard and index."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.shards import pack_shard
from gram.jobs import NoSettings
from gram.workflow import job, optional_path

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    pack_shard(
        extracted=Path(snakemake.input.extracted),
        extraction_table=Path(snakemake.input.extraction_table),
        subtitles=optional_path(snakemake.input.subtitles),
        depth=optional_path(snakemake.input.depth),
        depth_table=optional_path(snakemake.input.depth_table),
        shard=Path(snakemake.output.shard),
        index=Path(snakemake.output.index),
    )
