"""Weights and sizes of the encoders at the paper's size, built without any memory."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from gram.config import InputsConfig, ModelConfig
from gram.encoders.audio import AudioEncoder
from gram.encoders.beats import BeatsSizes
from gram.encoders.text import TextEncoder
from gram.encoders.vision import VisionEncoder

KEYS = Path(__file__).parent / "encoder_keys.txt"
PIECES = 30522
"""Word pieces of bert-base-uncased."""
LAYER = re.compile(r"(?<=[rs]\.)\d+")
"""Number of one of the blocks, the layers, or (BERT's name of a list) the layer."""


@pytest.fixture(scope="module")
def encoders() -> dict[str, nn.Module]:
    """Give the encoders as the default settings make them, on a device that holds no numbers."""
    model, inputs = ModelConfig(), InputsConfig()
    text = model.text
    with torch.device("meta"):
        return {
            "audio": AudioEncoder(
                BeatsSizes(**model.audio.model_dump()),
                audio_frames=inputs.audio_frames,
                mel_bins=inputs.mel_bins,
            ),
            "text": TextEncoder(
                pieces=PIECES,
                max_tokens=text.positions,
                width=text.width,
                depth=text.depth,
                heads=text.heads,
                mlp_width=text.mlp_width,
                dropout=text.dropout,
            ),
            "vision": VisionEncoder(pixels=inputs.image_pixels, **model.vision.model_dump()),
        }


def num_parameters(encoder: nn.Module) -> int:
    return sum(weight.numel() for weight in encoder.parameters())


def lines(encoders: Mapping[str, nn.Module]) -> list[str]:
    """Write each encoder's size, then its weights; layers of one form are one line with a range."""
    written = []
    for part, encoder in encoders.items():
        written.append(f"{part}: {num_parameters(encoder)} parameters")
        layers: dict[str, list[int]] = defaultdict(list)
        for name, weight in sorted(encoder.state_dict().items()):
            found = LAYER.search(name)
            shape = "x".join(str(size) for size in weight.shape)
            line = f"{part}.{LAYER.sub('*', name)} {shape}"
            layers[line].append(int(found.group()) if found else 0)
        for line, numbers in layers.items():
            assert sorted(numbers) == list(range(max(numbers) + 1)), line
            written.append(line.replace("*", f"0-{max(numbers)}"))
    return written


def test_the_weights_have_the_names_and_shapes_of_the_released_encoders(
    encoders: dict[str, nn.Module], request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--write-encoder-keys", default=False):
        KEYS.write_text("\n".join(lines(encoders)) + "\n", encoding="utf-8")
    assert lines(encoders) == KEYS.read_text(encoding="utf-8").splitlines(), (
        "names, shapes or numbers of weights changed: the released encoders can no longer be "
        "loaded as they are. If that is meant, run `pytest tests/contract --write-encoder-keys`."
    )


def test_nothing_is_allocated(encoders: dict[str, nn.Module]) -> None:
    tensors = [
        tensor for one in encoders.values() for tensor in (*one.parameters(), *one.buffers())
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize(
    ("part", "millions"), [("audio", 90), ("text", 137), ("vision", 1011)], ids=str
)
def test_an_encoder_has_the_size_of_the_released_one(
    encoders: dict[str, nn.Module], part: str, millions: int
) -> None:
    assert round(num_parameters(encoders[part]) / 1e6) == millions


def test_the_vision_tower_is_that_of_eva_clip_g(encoders: dict[str, nn.Module]) -> None:
    tower = encoders["vision"].get_submodule("tower")
    weights = dict(tower.named_parameters())
    shapes = [tuple(weights[name].shape) for name in ("pos_embed", "blocks.39.mlp.fc1.weight")]
    assert shapes == [(1, 257, 1408), (6144, 1408)]


def test_the_largest_rate_of_stochastic_depth_is_the_last_block_s(
    encoders: dict[str, nn.Module],
) -> None:
    blocks = encoders["vision"].get_submodule("tower.blocks")
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in blocks.children()]
    assert rates == pytest.approx([0.4 * number / 39 for number in range(40)], abs=1e-6)
