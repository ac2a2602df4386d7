"""Rule pack_shards: frames, sound, subtitles and depth of a chunk -> its shards and their index."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.shards import ChunkFiles, pack_chunk
from gram.jobs import PackSettings
from gram.workflow import job, optional_path

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, PackSettings) as settings:
    files = ChunkFiles(
        extracted=Path(snakemake.input.extracted),
        extraction_table=Path(snakemake.input.extraction_table),
        subtitles=optional_path(snakemake.input.subtitles),
        depth=optional_path(snakemake.input.depth),
        depth_table=optional_path(snakemake.input.depth_table),
    )
    pack_chunk(settings.packing, files, Path(snakemake.output.index))
