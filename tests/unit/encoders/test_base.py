import torch
from torch import nn

from gram.encoders.base import scale_initial_weights


def deviations(width: int) -> tuple[float, float]:
    """Give deviation of weights and largest bias of a layer that was drawn with deviation 0.02."""
    layer = nn.Linear(200, 200)
    nn.init.normal_(layer.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    nn.init.constant_(layer.bias, 0.5)
    scale_initial_weights(layer, width=width)
    return layer.weight.std().item(), layer.bias.max().item()


def test_at_the_width_of_bert_nothing_changes() -> None:
    layer = nn.Linear(4, 4)
    before = layer.weight.clone()
    scale_initial_weights(layer, width=768)
    assert torch.equal(layer.weight, before)


def test_weights_of_a_narrower_network_grow_with_the_root_of_the_ratio() -> None:
    weight, _ = deviations(width=192)
    assert abs(weight / 0.04 - 1) < 0.02


def test_biases_are_not_scaled() -> None:
    _, bias = deviations(width=192)
    assert bias == 0.5


def test_scaled_weights_still_learn() -> None:
    layer = nn.Linear(4, 4)
    scale_initial_weights(layer, width=64)
    assert layer.weight.requires_grad
    assert layer.weight.grad_fn is None
