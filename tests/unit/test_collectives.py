"""Gathering, on one process and on two."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gram.collectives import Gathering, gather, num_ranks, own_rank
from tests.ranks import run_ranks

MODES: tuple[Gathering, ...] = ("detached", "connected")


def rows_of(rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Give what a rank gathers: floats, a mask, and ids."""
    start = 10 * rank + 1
    floats = torch.arange(start, start + 6, dtype=torch.float32).view(2, 3)
    return floats, torch.tensor([rank == 0, True]), torch.tensor([start, start + 1])


def in_rank() -> dict[str, Any]:
    """Gather in both ways, and send gradients back."""
    rank = own_rank()
    floats, mask, ids = rows_of(rank)
    told: dict[str, Any] = {"rank": rank, "ranks": num_ranks()}
    for mode in MODES:
        own = floats.clone().requires_grad_()
        joined, masks, numbers = gather((own, mask, ids), gathering=mode)
        told[mode] = {"floats": joined.detach(), "mask": masks, "ids": numbers}
        told[mode]["learns"] = joined.requires_grad
        if joined.requires_grad:
            weights = torch.arange(1.0, 13.0).view(4, 3) * (rank + 1)
            (told[mode]["gradient"],) = torch.autograd.grad((joined * weights).sum(), own)
    try:
        gather((torch.zeros(2 + rank, 3),), gathering="detached")
    except ValueError as error:
        told["error"] = str(error)
    return told


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    return run_ranks(in_rank)


def test_ranks_know_their_number(told: list[dict[str, Any]]) -> None:
    assert [(one["rank"], one["ranks"]) for one in told] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", ["floats", "mask", "ids"])
def test_rows_come_in_the_order_of_ranks(
    told: list[dict[str, Any]], part: str, mode: Gathering, rank: int
) -> None:
    place = ["floats", "mask", "ids"].index(part)
    expected = torch.cat([rows_of(one)[place] for one in (0, 1)])
    assert torch.equal(told[rank][mode][part], expected)
    assert told[rank][mode][part].dtype == expected.dtype


@pytest.mark.parametrize("rank", [0, 1])
def test_gradients_of_all_ranks_come_back_to_the_owner(
    told: list[dict[str, Any]], rank: int
) -> None:
    weights = torch.arange(1.0, 13.0).view(4, 3) * 3  # one time from rank 0, two times from rank 1
    assert torch.equal(told[rank]["connected"]["gradient"], weights[2 * rank : 2 * rank + 2])


def test_detached_rows_carry_no_gradient(told: list[dict[str, Any]]) -> None:
    assert [one["detached"]["learns"] for one in told] == [False, False]


@pytest.mark.parametrize("rank", [0, 1])
def test_other_batch_sizes_are_named(told: list[dict[str, Any]], rank: int) -> None:
    own, other = [2 + rank, 3], [3 - rank, 3]
    assert told[rank]["error"] == (
        f"rank {rank} gathers shapes [{own}], rank {1 - rank} gathers [{other}]; "
        "give every rank batches of the same size"
    )


def test_a_process_alone_is_the_only_rank() -> None:
    assert (own_rank(), num_ranks()) == (0, 1)


def test_alone_connected_gives_the_tensors_themselves() -> None:
    given = rows_of(0)
    joined = gather(given, gathering="connected")
    assert all(one is other for one, other in zip(joined, given, strict=True))


def test_alone_detached_cuts_the_gradient() -> None:
    own = torch.ones(2, requires_grad=True)
    (joined,) = gather((own,), gathering="detached")
    assert torch.equal(joined, own)
    assert not joined.requires_grad
