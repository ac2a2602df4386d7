"""A step of two processes, each with half a batch, against a step of one with all of it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gram.collectives import own_rank
from gram.config import LossConfig
from gram.model import GramModel
from gram.training import loop
from gram.types import Batch, Tokens
from tests.ranks import run_ranks
from tests.unit.conftest import INPUTS, PIECES, _make_batch, _make_model_config

CLIPS = 6
SETTINGS = {
    "connected": LossConfig(gather="connected", matching_on="all"),
    "detached": LossConfig(gather="detached", matching_on="all"),
}


def neighbors(
    text_distance_bn: Tensor, item_distance_bn: Tensor, *, temperature: float, first: int
) -> tuple[Tensor, Tensor]:
    """Stand in for the draw: wrong partners are the next item and the text after that."""
    own = first + torch.arange(len(text_distance_bn))
    return (own + 1) % CLIPS, (own + 2) % CLIPS


def gradients(batch: Batch, config: LossConfig) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = GramModel(_make_model_config(), INPUTS, pieces=PIECES).eval()
    loop.step_loss(model, batch, config).total.backward()
    return {
        name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None
    }


def rows_of(batch: Batch, rows: slice) -> Batch:
    def texts(tokens: Tokens | None) -> Tokens:
        assert tokens is not None
        return Tokens(ids_bl=tokens.ids_bl[rows], mask_bl=tokens.mask_bl[rows])

    def tensor(value: Tensor | None) -> Tensor:
        assert value is not None
        return value[rows]

    return replace(
        batch,
        clip_ids=batch.clip_ids[rows],
        caption=texts(batch.caption),
        subtitle=texts(batch.subtitle),
        video_bfchw=tensor(batch.video_bfchw),
        depth_bfchw=tensor(batch.depth_bfchw),
        audio_bctm=tensor(batch.audio_bctm),
        present={name: value[rows] for name, value in batch.present.items()},
    )


def in_rank() -> dict[str, dict[str, Tensor]]:
    loop.draw_hard_negatives = neighbors
    half = CLIPS // 2
    batch = rows_of(_make_batch(CLIPS), slice(own_rank() * half, (own_rank() + 1) * half))
    return {name: gradients(batch, config) for name, config in SETTINGS.items()}


@pytest.fixture(scope="module")
def of_two() -> list[dict[str, dict[str, Tensor]]]:
    return run_ranks(in_rank)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_mean_gradient_of_two_processes_is_that_of_one(
    of_two: list[dict[str, dict[str, Tensor]]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(loop, "draw_hard_negatives", neighbors)
    whole = gradients(_make_batch(CLIPS), SETTINGS[name])
    means = {key: sum(one[name][key] for one in of_two) / 2 for key in whole}
    torch.testing.assert_close(means, whole, rtol=1e-4, atol=1e-5)
