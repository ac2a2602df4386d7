"""Rule finetune_model: a pretrained checkpoint and a benchmark's shards -> a finetuned one."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.device import choose_device
from gram.jobs import TrainSettings
from gram.training.loop import train
from gram.training.means import Means
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
    means = Means.of_rule(
        dict(snakemake.resources.items()),
        device=choose_device(snakemake.resources.gpu),
        threads=snakemake.threads,
    )
    train(settings, files, means, tracker=tracker)
