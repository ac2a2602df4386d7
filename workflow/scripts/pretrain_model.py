"""Rule pretrain_model: shards and word pieces -> a pretrained checkpoint and its history."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.device import choose_device
from gram.jobs import TrainSettings
from gram.training.loop import train
from gram.training.means import Means
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
    means = Means.of_rule(
        dict(snakemake.resources.items()),
        device=choose_device(snakemake.resources.gpu),
        threads=snakemake.threads,
    )
    train(settings, files, means, tracker=tracker)
