"""docs/training.md names every setting and every resource of a training."""

from pathlib import Path

import pytest

from gram.config import InputsConfig, LossConfig, OptimizerConfig, Section, TrainingConfig
from gram.config.training import ValidationConfig
from gram.training.means import Means

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")

SECTIONS: tuple[type[Section], ...] = (
    TrainingConfig,
    ValidationConfig,
    LossConfig,
    OptimizerConfig,
    InputsConfig,
)
NAMES = sorted({name for section in SECTIONS for name in section.model_fields})


def test_there_are_settings_to_look_for() -> None:
    assert len(NAMES) > 30


@pytest.mark.parametrize(
    "name",
    [*NAMES, *Means.RESOURCES, "processes", "nodes", pytest.param("gpu", id="number of GPUs")],
)
def test_the_page_on_training_names_it(name: str) -> None:
    assert f"`{name}`" in PAGE
