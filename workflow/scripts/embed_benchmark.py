"""Rule embed_benchmark: a checkpoint and a benchmark's shards -> embeddings."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.device import choose_device
from gram.evaluation.embed import embed_benchmark
from gram.jobs import EmbedSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, EmbedSettings) as settings:
    embed_benchmark(
        settings,
        checkpoint=Path(snakemake.input.checkpoint[0]),
        index=Path(snakemake.input.index[0]),
        folder=Path(snakemake.output.vectors).parent,
        run=snakemake.wildcards.run,
        benchmark=snakemake.wildcards.benchmark,
        device=choose_device(snakemake.resources.gpu),
        workers=snakemake.threads - 1,
    )
