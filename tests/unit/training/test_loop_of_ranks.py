"""A step of two processes, each with half a batch, against a step of one with all of it."""

import pytest
import torch
from torch import Tensor

from gram.collectives import average_gradients, own_rank
from gram.config import LossConfig
from gram.data.order import Share
from gram.model import GramModel
from gram.training.gradients import add_gradients
from gram.training.precision import Precision
from gram.types import Batch
from tests.ranks import run_ranks
from tests.unit.conftest import INPUTS, PIECES, _make_batch, _make_model_config

CLIPS = 6
SETTINGS = {
    "connected": LossConfig(gather="connected", matching_on="all"),
    "detached": LossConfig(gather="detached", matching_on="all"),
    "some_matched": LossConfig(gather="connected", matching_on="all", matching_clips=3),
    "one_matched": LossConfig(gather="connected", matching_on="all", matching_clips=1),
}

Gradients = dict[str, Tensor]


def gradients(batch: Batch, config: LossConfig, *, micro_batch: int | None = None) -> Gradients:
    torch.manual_seed(0)
    model = GramModel(_make_model_config(), INPUTS, pieces=PIECES).eval()
    precision = Precision("fp32", torch.device("cpu"))
    add_gradients(model, batch, config, precision=precision, micro_batch=micro_batch)
    average_gradients(model.parameters())
    return {
        name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None
    }


def in_rank() -> dict[str, dict[str, Gradients]]:
    batch = _make_batch(CLIPS).rows(Share(own_rank(), 2).of(CLIPS))
    return {
        name: {
            "whole": gradients(batch, config),
            "in_parts": gradients(batch, config, micro_batch=2),
        }
        for name, config in SETTINGS.items()
    }


@pytest.fixture(scope="module")
def of_two() -> list[dict[str, dict[str, Gradients]]]:
    return run_ranks(in_rank)


@pytest.mark.parametrize("way", ["whole", "in_parts"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_gradient_of_two_processes_is_that_of_one(
    of_two: list[dict[str, dict[str, Gradients]]], name: str, way: str
) -> None:
    whole = gradients(_make_batch(CLIPS), SETTINGS[name])
    for of_rank in of_two:
        torch.testing.assert_close(of_rank[name][way], whole, rtol=1e-4, atol=1e-5)
