"""Names and shapes of the weights in a checkpoint, which checkpoints of others are read by."""

from pathlib import Path

import pytest
import torch

from gram.config import (
    AudioConfig,
    InputsConfig,
    ModelConfig,
    TextConfig,
    VisionConfig,
)
from gram.model import GramModel
from gram.types import ITEM_MODALITIES
from gram.upstream import released_name

KEYS = Path(__file__).parent / "checkpoint_keys.txt"


@pytest.fixture(scope="module")
def model() -> GramModel:
    """Give a model of all modalities in which hardly two sizes are the same."""
    torch.manual_seed(0)
    config = ModelConfig(
        modalities=ITEM_MODALITIES,
        embedding_width=10,
        vision=VisionConfig(patch=8, width=16, depth=1, heads=2, mlp_width=20),
        audio=AudioConfig(
            patch_width=12, width=24, depth=2, heads=2, mlp_width=28, position_groups=4
        ),
        text=TextConfig(width=32, depth=1, heads=2, mlp_width=36),
    )
    inputs = InputsConfig(image_pixels=16, train_frames=3, audio_frames=48, mel_bins=32)
    return GramModel(config, inputs, pieces=tuple(f"piece{number}" for number in range(50)))


def lines(model: GramModel) -> list[str]:
    return [
        f"{name} {'x'.join(str(size) for size in weight.shape) or 'scalar'}"
        for name, weight in sorted(model.state_dict().items())
    ]


def test_the_weights_have_their_names_and_shapes(
    model: GramModel, request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--write-checkpoint-keys", default=False):
        KEYS.write_text("\n".join(lines(model)) + "\n", encoding="utf-8")
    written = KEYS.read_text(encoding="utf-8").splitlines()
    assert lines(model) == written, (
        "names or shapes of the weights changed: checkpoints that were written before cannot be "
        "loaded. If that is meant, say so in CHANGELOG.md, raise the versions of pretrain_model "
        "and finetune_model, and run `pytest tests/contract --write-checkpoint-keys`."
    )


def test_every_weight_has_a_name_in_the_released_code(model: GramModel) -> None:
    names = {released_name(name) for name in model.state_dict()}
    assert len(names) == len(model.state_dict())
