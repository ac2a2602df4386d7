"""Modalities that are left out at random: how often, never all, and in any number of processes."""

from collections.abc import Callable

import pytest
import torch

from gram.data.order import Share
from gram.training.modality_dropout import drop_modalities
from gram.types import ITEM_MODALITIES, Batch, Modality

MakeBatch = Callable[..., Batch]


def present(batch: Batch) -> torch.Tensor:
    return torch.stack(list(batch.present.values()), dim=1)


def dropped(batch: Batch, probability: float, *, step: int = 1, rank: int = 0) -> torch.Tensor:
    return present(drop_modalities(batch, probability, seed=3, step=step, rank=rank))


def test_at_0_nothing_is_left_out(make_batch: MakeBatch) -> None:
    assert dropped(make_batch(8), 0).all()


def test_as_many_are_left_out_as_is_said(make_batch: MakeBatch) -> None:
    share = dropped(make_batch(500), 0.2).float().mean().item()
    assert share == pytest.approx(0.8, abs=0.03)


def test_a_clip_keeps_one_at_least(make_batch: MakeBatch) -> None:
    assert dropped(make_batch(50), 1).sum(dim=1).tolist() == [1] * 50


def test_what_a_clip_lacks_stays_missing(make_batch: MakeBatch) -> None:
    batch = make_batch(50, present={Modality.AUDIO: [False] * 50})
    kept = dropped(batch, 0.9)
    assert not kept[:, ITEM_MODALITIES.index(Modality.AUDIO)].any()
    assert kept.any(dim=1).all()


def test_a_clip_without_any_modality_stays_without(make_batch: MakeBatch) -> None:
    batch = make_batch(4, present={name: [False] * 4 for name in ITEM_MODALITIES})
    assert not dropped(batch, 0.5).any()


def test_another_step_leaves_out_others(make_batch: MakeBatch) -> None:
    batch = make_batch(20)
    assert not torch.equal(dropped(batch, 0.5), dropped(batch, 0.5, step=2))


def test_shares_of_processes_lose_what_the_whole_batch_loses(make_batch: MakeBatch) -> None:
    batch = make_batch(12)
    shares = [dropped(batch.rows(Share(rank, 3).of(12)), 0.5, rank=rank) for rank in range(3)]
    assert torch.equal(torch.cat(shares), dropped(batch, 0.5))
