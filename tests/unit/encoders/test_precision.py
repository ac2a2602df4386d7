"""What holds of all encoders: activations computed again, bfloat16."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gram.encoders.audio import AudioEncoder
from gram.encoders.base import Encoded
from gram.encoders.text import TextEncoder
from gram.encoders.vision import VisionEncoder
from gram.types import Tokens
from tests.unit.encoders.made_beats import sizes

Encoder = AudioEncoder | TextEncoder | VisionEncoder
Given = Tensor | Tokens


def audio() -> tuple[Encoder, Given]:
    encoder = AudioEncoder(sizes(depth=3), audio_frames=48, mel_bins=32)
    return encoder, torch.randn(2, 1, 48, 32)


def text() -> tuple[Encoder, Given]:
    encoder = TextEncoder(
        pieces=40, max_tokens=16, width=32, depth=3, heads=2, mlp_width=48, dropout=0.0
    )
    ids_bl = torch.randint(1, 40, (2, 9))
    return encoder, Tokens(ids_bl=ids_bl, mask_bl=torch.arange(9) < torch.tensor([[9], [5]]))


def vision() -> tuple[Encoder, Given]:
    encoder = VisionEncoder(
        pixels=16, patch=8, width=16, depth=3, heads=2, mlp_width=32, drop_path=0.0
    )
    return encoder, torch.randint(0, 256, (2, 2, 3, 16, 16), dtype=torch.uint8)


EVERY = pytest.mark.parametrize("make", [audio, text, vision])
Make = Callable[[], tuple[Encoder, Given]]


def made(make: Make) -> tuple[Encoder, Given]:
    torch.manual_seed(0)
    return make()


def encoded_with_gradients(encoder: Encoder, given: Given) -> tuple[Encoded, list[Tensor]]:
    encoded: Encoded = encoder(given)
    total = (encoded.tokens_buld.float() ** 3).sum()
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    found = torch.autograd.grad(total, weights, allow_unused=True)
    return encoded, [gradient for gradient in found if gradient is not None]


class CountedGelu(TorchDispatchMode):
    """Counts how often GELU is computed forward."""

    def __init__(self) -> None:
        """Start at none."""
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        """Count, and compute."""
        self.count += function is torch.ops.aten.gelu.default
        return function(*args, **(kwargs or {}))


@EVERY
def test_activations_computed_again_give_the_same_values(make: Make) -> None:
    encoder, given = made(make)
    encoder.train()
    kept = encoder(given).tokens_buld
    encoder.checkpoint_activations()
    assert torch.equal(encoder(given).tokens_buld, kept)


@EVERY
def test_activations_computed_again_give_the_same_gradients(make: Make) -> None:
    encoder, given = made(make)
    encoder.train()
    _, kept = encoded_with_gradients(encoder, given)
    encoder.checkpoint_activations()
    _, again = encoded_with_gradients(encoder, given)
    torch.testing.assert_close(again, kept, rtol=1e-6, atol=1e-7)


@EVERY
def test_activations_are_computed_again_in_the_backward_pass(make: Make) -> None:
    encoder, given = made(make)
    encoder.train()
    encoder.checkpoint_activations()
    total = encoder(given).tokens_buld.sum()
    with CountedGelu() as counted:
        total.backward()
    assert counted.count == 3


@EVERY
@pytest.mark.parametrize("form", ["autocast", "cast"])
def test_in_bfloat16_the_features_are_near(make: Make, form: str) -> None:
    encoder, given = made(make)
    encoder.eval()
    exact = encoder(given).pooled_bd
    if form == "cast":
        encoder.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=form == "autocast"):
        near = encoder(given).pooled_bd
    assert (near.float() - exact).norm() < 0.03 * exact.norm()


@EVERY
def test_in_bfloat16_gradients_are_finite_and_near(make: Make) -> None:
    encoder, given = made(make)
    encoder.train()
    _, exact = encoded_with_gradients(encoder, given)
    with torch.autocast("cpu", torch.bfloat16):
        _, near = encoded_with_gradients(encoder, given)
    lengths = [torch.cat([one.flatten() for one in part]) for part in (exact, near)]
    assert torch.nn.functional.cosine_similarity(*lengths, dim=0) > 0.99
