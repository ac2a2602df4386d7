"""An old checkpoint before and after the published code brought it to its own names and sizes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gram.upstream import canonical_names, fit_tables, from_released, to_released
from tests.golden.recording import Golden

Tensors = dict[str, Tensor]


def part(recorded: Tensors, start: str) -> Tensors:
    """Give the tensors below a start of names, without it."""
    return {key.removeprefix(start): one for key, one in recorded.items() if key.startswith(start)}


def adapted(recorded: Tensors) -> Tensors:
    """Bring the old checkpoint to the sizes of the new one by our code, under released names."""
    ours, rest = from_released(canonical_names(part(recorded, "ckpt.in.")))
    wanted = from_released(part(recorded, "ckpt.out.")).ours
    return to_released(fit_tables(ours, wanted, positions="bilinear"), rest)


@pytest.fixture
def recorded(golden: Callable[[str], Golden]) -> Tensors:
    return golden("04_checkpoint_adapt").tensors


def test_the_names_are_the_published_ones(recorded: Tensors) -> None:
    assert sorted(adapted(recorded)) == sorted(part(recorded, "ckpt.out."))


def test_the_values_are_the_published_ones(recorded: Tensors) -> None:
    given, expected = adapted(recorded), part(recorded, "ckpt.out.")
    assert expected
    for name, weight in expected.items():
        torch.testing.assert_close(given[name], weight, rtol=0, atol=1e-5, msg=name)


def test_every_weight_is_single_precision(recorded: Tensors) -> None:
    assert {weight.dtype for weight in adapted(recorded).values()} == {torch.float32}


def test_a_resize_by_the_other_rule_would_be_seen(recorded: Tensors) -> None:
    ours, _ = from_released(canonical_names(part(recorded, "ckpt.in.")))
    expected = from_released(part(recorded, "ckpt.out.")).ours
    other = fit_tables(ours, expected, positions="bicubic")
    name = "vision.tower.pos_embed"
    assert not torch.allclose(other[name], expected[name], rtol=0, atol=1e-4)
