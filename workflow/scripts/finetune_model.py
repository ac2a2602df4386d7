"""Rule finetune_model: a pretrained checkpoint and a benchmark's shards -> a finetuned one."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.jobs import TrainSettings
from gram.training.launch import run_training
from gram.training.preparation import TrainingFiles
from gram.workflow import job, tracked

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, TrainSettings) as settings, tracked(snakemake) as tracker:
    files = TrainingFiles(
        index=Path(snakemake.input.index[0]),
        vocabulary=None,
        start=Path(snakemake.input.start[0]),
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
