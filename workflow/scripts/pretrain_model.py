"""Rule pretrain_model: shards and word pieces -> a pretrained checkpoint and its history."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.jobs import TrainSettings
from gram.training.launch import run_training
from gram.training.preparation import TrainingFiles
from gram.workflow import job, optional_path, tracked

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, TrainSettings) as settings, tracked(snakemake) as tracker:
    files = TrainingFiles(
        index=Path(snakemake.input.index[0]),
        vocabulary=optional_path(snakemake.input.vocabulary),
        start=optional_path(snakemake.input.start),
        checkpoint=Path(snakemake.output.checkpoint),
    )
    run_training(
        settings,
        files,
        dict(snakemake.resources.items()),
        threads=snakemake.threads,
        log_file=Path(snakemake.log[0]),
        tracker=tracker,
    )
