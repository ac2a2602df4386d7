"""Batches of the loader -> batches on a device, copied while the device computes."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gram.types import Batch


class _UnderWay(NamedTuple):
    """A batch whose copies have been asked for, and the event that tells of their end."""

    batch: Batch
    is_there: torch.cuda.Event


def on_device(stream: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Give each batch with its tensors on a device.

    On a CUDA device the batch after the one that is given is under way already: it goes through
    page-locked memory, on a stream of its own, so that copy and computation overlap.
    """
    if device.type != "cuda":
        for batch in stream:
            yield batch.mapped(lambda tensor: tensor.to(device))
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch leaves it so
    waiting: deque[_UnderWay] = deque()
    for batch in stream:
        waiting.append(_sent(batch, device, copying))
        if len(waiting) > 1:
            yield _received(waiting.popleft(), device)
    while waiting:
        yield _received(waiting.popleft(), device)


def _sent(batch: Batch, device: torch.device, copying: torch.cuda.Stream) -> _UnderWay:
    def copied(tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(device, non_blocking=True)

    with torch.cuda.stream(copying):
        return _UnderWay(batch.mapped(copied), copying.record_event())


def _received(under_way: _UnderWay, device: torch.device) -> Batch:
    """Let the computation wait for the copies, and say that it uses their memory from now on."""
    computing = torch.cuda.current_stream(device)
    computing.wait_event(under_way.is_there)

    def used(tensor: Tensor) -> Tensor:
        tensor.record_stream(computing)
        return tensor

    return under_way.batch.mapped(used)
