"""How long a training of the smallest model waits for its clips."""

import statistics
from collections.abc import Mapping
from pathlib import Path

import torch

from bench.corpus import write_shards
from bench.steps import DEMO_INPUTS, DEMO_LOSS
from gram.config import ModelConfig, OptimizerConfig, TrainingConfig
from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training import loop
from gram.training.means import Means
from gram.training.preparation import TrainingFiles
from gram.types import Modality

STEPS, CLIPS = 60, 16


class _Notebook(Tracker):
    """Keeps the shares of time that were spent waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[float] = []

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        self.shares.append(values["data_wait_share"])


def waiting_text(folder: Path) -> str:
    """Train on clips of the loader's bench; say how much of the time was spent waiting for them."""
    index = write_shards(folder)
    rows = []
    for workers, cache_mib in ((0, 0), (1, 0), (1, 512)):
        notebook = _Notebook()
        files = TrainingFiles(
            index=index,
            vocabulary=folder / "vocab.txt",
            start=None,
            checkpoint=folder / f"run{workers}_{cache_mib}" / "last.safetensors",
        )
        means = Means(device=torch.device("cpu"), workers=workers, cache_mib=cache_mib)
        loop.train(_settings(), files, means, tracker=notebook)
        share = statistics.mean(notebook.shares[1:])  # the first ones wait for the first batch
        rows.append(f"| {workers} | {'yes' if cache_mib else 'no'} | {100 * share:.0f} % |")
    return "\n".join(
        [
            f"Share of the time of a training of `tiny` that is spent waiting for clips: "
            f"{STEPS} steps of {CLIPS} clips, video of {DEMO_INPUTS.image_pixels} pixels and "
            f"sound, clips as in the section on the loader.",
            "",
            "| threads that read clips | clips kept in memory | waiting |",
            "|---:|---|---:|",
            *rows,
        ]
    )


def _settings() -> TrainSettings:
    return TrainSettings(
        seed=0,
        model=ModelConfig(preset="tiny", modalities=(Modality.VIDEO, Modality.AUDIO)),
        inputs=DEMO_INPUTS,
        loss=DEMO_LOSS,
        optimizer=OptimizerConfig(),
        training=TrainingConfig(steps=STEPS, batch_size=CLIPS),
    )
