"""Which items stand in which batch of an epoch, and which of them each process takes.

All is decided by arithmetic from seed and epoch: nothing is read to find the batch with a given
number, and neither the number of workers nor that of processes changes the order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Share:
    """The part of every batch that one process takes, where several train together.

    The shares of ranks 0, 1, ... one behind the other are the whole batch. They are equally long,
    but where the batch is no multiple of ``world``: then the first ``batch % world`` ranks have
    one item more.

    Attributes:
        rank: Number of the process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        """Check that there is such a rank."""
        if not 0 <= self.rank < self.world:
            raise ValueError(
                f"rank {self.rank} of {self.world} processes is not there; "
                "ranks count from 0 to one below the number of processes"
            )

    def of(self, size: int) -> slice:
        """Give the share of a batch of ``size`` items; empty if there are fewer than ranks."""
        least, longer = divmod(size, self.world)
        first = self.rank * least + min(self.rank, longer)
        return slice(first, first + least + (self.rank < longer))


WHOLE = Share()
"""Of a process that is alone."""


def epoch_order(num_items: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Give the order of the items in one epoch: a permutation of 0 to ``num_items - 1``."""
    return np.random.default_rng((seed, epoch)).permutation(num_items)


def training_groups(
    num_items: int, *, batch_size: int, seed: int, epoch: int, start: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Give the items of each batch of an epoch of training, from batch ``start`` on.

    What is left at the end of the epoch is dropped: all batches are equally long. Fewer items
    than ``batch_size`` are one batch. Behind the last batch nothing is left; what goes on from
    there is the next epoch, from its batch 0.

    Raises:
        ValueError: If the epoch has fewer than ``start`` batches, or ``start`` is below 0.
    """
    size = min(batch_size, num_items)
    num_batches = num_items // size
    if not 0 <= start <= num_batches:
        raise ValueError(
            f"start is {start}, but an epoch of {num_items} items has {num_batches} batches of "
            f"{size}; give a number from 0 to {num_batches}, and count on in the next epoch"
        )
    order = epoch_order(num_items, seed=seed, epoch=epoch)
    return iter(order[: num_batches * size].reshape(-1, size)[start:])


def groups_in_order(num_items: int, *, batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Give all items in order, in batches of which the last may be shorter."""
    for first in range(0, num_items, batch_size):
        yield np.arange(first, min(first + batch_size, num_items))
