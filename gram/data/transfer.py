"""Batches of the loader -> batches on a device, copied while the device computes."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from gram.types import Batch, Tokens


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
            yield _changed(batch, lambda tensor: tensor.to(device))
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
        return _UnderWay(_changed(batch, copied), copying.record_event())


def _received(under_way: _UnderWay, device: torch.device) -> Batch:
    """Let the computation wait for the copies, and say that it uses their memory from now on."""
    computing = torch.cuda.current_stream(device)
    computing.wait_event(under_way.is_there)

    def used(tensor: Tensor) -> Tensor:
        tensor.record_stream(computing)
        return tensor

    return _changed(under_way.batch, used)


def _changed(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Give a batch whose tensors have gone through a function."""

    def tokens(given: Tokens) -> Tokens:
        return Tokens(ids_bl=change(given.ids_bl), mask_bl=change(given.mask_bl))

    return Batch(
        clip_ids=batch.clip_ids,
        caption=_if_there(tokens, batch.caption),
        video_bfchw=_if_there(change, batch.video_bfchw),
        depth_bfchw=_if_there(change, batch.depth_bfchw),
        audio_bctm=_if_there(change, batch.audio_bctm),
        subtitle=_if_there(tokens, batch.subtitle),
        present={name: change(flags_b) for name, flags_b in batch.present.items()},
    )


Given = TypeVar("Given")


def _if_there(change: Callable[[Given], Given], value: Given | None) -> Given | None:
    return None if value is None else change(value)
