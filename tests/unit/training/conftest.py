"""Short trainings on generated clips, and how two of them are compared."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from gram.config import InputsConfig, LossConfig, ModelConfig, OptimizerConfig, TrainingConfig
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.tracking import Tracker
from gram.training.loop import train
from gram.training.means import Means
from gram.training.preparation import TrainingFiles
from gram.types import Modality


@pytest.fixture
def make_settings(
    make_model_config: Callable[..., ModelConfig], inputs: InputsConfig
) -> Callable[..., TrainSettings]:
    """Give a function that makes settings of a short training; its arguments are of sections."""

    def make(
        *,
        modalities: Sequence[Modality] = (Modality.SUBTITLE,),
        seed: int = 0,
        dropout: float = 0.1,
        loss: Mapping[str, object] | None = None,
        **training: object,
    ) -> TrainSettings:
        length = {} if "epochs" in training else {"steps": 12}
        return TrainSettings(
            seed=seed,
            model=make_model_config(modalities, dropout=dropout),
            inputs=inputs,
            loss=LossConfig.model_validate(
                {"gather": "connected", "matching_on": "all", **(loss or {})}
            ),
            optimizer=OptimizerConfig(),
            training=TrainingConfig.model_validate(
                {"batch_size": 4, "learning_rate": 1e-3, **length, **training}
            ),
        )

    return make


@pytest.fixture
def run(shards: Path, tmp_path: Path) -> Callable[..., Path]:
    """Give a function that trains and gives the folder of what was written."""

    def train_in(
        settings: TrainSettings,
        *,
        folder: str = "run",
        start: Path | None = None,
        index: Path = shards / "index.parquet",
        tracker: Tracker | None = None,
        **means: Any,  # noqa: ANN401 - they are passed on
    ) -> Path:
        files = TrainingFiles(
            index=index,
            vocabulary=shards / "vocab.txt" if start is None else None,
            start=start,
            checkpoint=tmp_path / folder / "last.safetensors",
        )
        used = Means(device=torch.device("cpu"), **{"checkpoint_steps": 2, **means})
        train(settings, files, used, tracker=tracker or Tracker())
        return tmp_path / folder

    return train_in


@pytest.fixture(scope="session")
def are_equal() -> Callable[[Path, Path], bool]:
    """Give a function that compares two trainings: weights bit for bit, histories byte by byte."""
    return _are_equal


@pytest.fixture(scope="session")
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    return _weights


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return GramModel.load(folder / "last.safetensors").state_dict()


def _are_equal(first: Path, second: Path) -> bool:
    one, other = _weights(first), _weights(second)
    histories = [(folder / "history.csv").read_bytes() for folder in (first, second)]
    return histories[0] == histories[1] and all(torch.equal(one[name], other[name]) for name in one)
