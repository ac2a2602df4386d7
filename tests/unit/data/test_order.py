"""What holds for any number of items, batch, process, seed and place in the epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram.data.order import Share, epoch_order, groups_in_order, training_groups

EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**63 - 1)
COUNTS = st.integers(1, 500)


def groups(num_items: int, batch_size: int, **place: int) -> list[list[int]]:
    order = {"seed": 0, "epoch": 0, "start": 0} | place
    found = training_groups(
        num_items,
        batch_size=batch_size,
        seed=order["seed"],
        epoch=order["epoch"],
        start=order["start"],
    )
    return [group.tolist() for group in found]


@EXAMPLES
@given(num_items=COUNTS, seed=SEEDS, epoch=st.integers(0, 10**6))
def test_an_order_holds_every_item_once(num_items: int, seed: int, epoch: int) -> None:
    order = epoch_order(num_items, seed=seed, epoch=epoch)
    assert np.array_equal(np.sort(order), np.arange(num_items))


@EXAMPLES
@given(num_items=COUNTS, batch_size=COUNTS, share=st.floats(0, 1))
def test_going_on_from_any_batch_gives_the_rest(
    num_items: int, batch_size: int, share: float
) -> None:
    whole = groups(num_items, batch_size)
    start = round(share * len(whole))
    assert groups(num_items, batch_size, start=start) == whole[start:]


@EXAMPLES
@given(num_items=COUNTS, batch_size=COUNTS, beyond=st.integers(1, 600))
def test_a_batch_beyond_the_epoch_is_refused(num_items: int, batch_size: int, beyond: int) -> None:
    num_batches = len(groups(num_items, batch_size))
    with pytest.raises(ValueError, match=f"give a number from 0 to {num_batches}, and count on"):
        groups(num_items, batch_size, start=num_batches + beyond)


def test_a_batch_before_the_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start is -1, but an epoch of 10 items has 3 batches of"):
        groups(10, 3, start=-1)


@EXAMPLES
@given(num_items=COUNTS, batch_size=COUNTS, seed=SEEDS)
def test_training_batches_are_equally_long_and_hold_no_item_twice(
    num_items: int, batch_size: int, seed: int
) -> None:
    found = groups(num_items, batch_size, seed=seed)
    size = min(batch_size, num_items)
    assert [len(group) for group in found] == [size] * (num_items // size)
    assert len({item for group in found for item in group}) == len(found) * size


@EXAMPLES
@given(num_items=st.integers(0, 500), batch_size=COUNTS)
def test_batches_in_order_hold_every_item_once(num_items: int, batch_size: int) -> None:
    found = list(groups_in_order(num_items, batch_size=batch_size))
    assert [item for group in found for item in group.tolist()] == list(range(num_items))


@EXAMPLES
@given(size=st.integers(0, 300), world=st.integers(1, 40))
def test_the_shares_of_all_ranks_in_turn_are_the_batch(size: int, world: int) -> None:
    items = list(range(size))
    shares = [items[Share(rank, world).of(size)] for rank in range(world)]
    assert [item for share in shares for item in share] == items


@EXAMPLES
@given(size=st.integers(0, 300), world=st.integers(1, 40))
def test_the_longer_shares_are_those_of_the_first_ranks(size: int, world: int) -> None:
    lengths = [len(range(size)[Share(rank, world).of(size)]) for rank in range(world)]
    assert lengths == sorted(lengths, reverse=True)
    assert max(lengths) - min(lengths) <= 1


def test_seeds_and_epochs_give_orders_of_their_own() -> None:
    orders = {
        tuple(epoch_order(50, seed=seed, epoch=epoch)) for seed in range(5) for epoch in range(5)
    }
    assert len(orders) == 25


@pytest.mark.parametrize(("rank", "world"), [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_that_is_not_there_is_refused(rank: int, world: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} of {world} processes is not there"):
        Share(rank, world)
