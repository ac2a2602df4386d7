"""Clips of an index -> batches of model inputs, in an order that a seed decides.

Whatever is random is drawn from (seed, epoch, item): a batch does not depend on the batches before
it, so training goes on exactly where it stopped, and any number of threads gives the same batches.
Several processes divide each batch among themselves (``gram.data.order.Share``): what they have
together is what one process would have.

Threads read, and no processes: decoding, scaling and Fourier transforms run outside Python's lock,
so that a second thread reads nearly as much as the first, at three quarters of the processor time
that two processes took. What threads made needs no copy from process to process, kept clips are
shared, and an epoch starts at once. docs/benchmarks.md has both, measured.

Shape letters of this file: B items.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.data.clip_dataset import ClipDataset
from gram.data.order import WHOLE, Share, groups_in_order, training_groups
from gram.types import Batch, Modality, Tokens

BATCHES_AHEAD = 2
"""Batches that threads work on beyond the one that is asked for."""


def batches(
    dataset: ClipDataset,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int = 0,
    share: Share = WHOLE,
    workers: int = 0,
) -> Iterator[Batch]:
    """Give the batches of one epoch of training, or a process's share of each.

    Args:
        dataset: The clips.
        batch_size: B of all processes together. What is left at the end of the epoch is dropped;
            if there are fewer items than B, they are one batch.
        seed: Seed of the order.
        epoch: Which epoch, from 0; decides the order and all random choices.
        start: Number of batches that are skipped, without reading them.
        share: Which part of each batch is wanted. The parts of all ranks one behind the other are
            the batch of one process alone, value for value; their texts are padded alike.
        workers: Threads that read ahead; 0: each batch is read when it is asked for.

    Raises:
        ValueError: If a batch has fewer items than there are ranks, or the epoch fewer batches
            than ``start``; when a batch is asked for, if a clip of it cannot be read; names clip
            and shard.
    """
    size = min(batch_size, len(dataset))
    if size < share.world:
        raise ValueError(
            f"a batch has {size} items, too few for {share.world} processes; take fewer, or raise "
            "batch_size"
        )
    groups = training_groups(
        len(dataset), batch_size=batch_size, seed=seed, epoch=epoch, start=start
    )
    return _load(dataset, groups, epoch=epoch, share=share, workers=workers)


def evaluation_batches(
    dataset: ClipDataset, *, batch_size: int, share: Share = WHOLE, workers: int = 0
) -> Iterator[Batch]:
    """Give all clips in order, or a process's share of each batch; see ``batches``.

    The last batch may be smaller; a process whose share of it is empty does not get it.
    """
    groups = groups_in_order(len(dataset), batch_size=batch_size)
    return _load(dataset, groups, epoch=0, share=share, workers=workers)


def _load(
    dataset: ClipDataset,
    groups: Iterable[NDArray[np.int64]],
    *,
    epoch: int,
    share: Share,
    workers: int,
) -> Iterator[Batch]:
    """Read groups of items as batches, in order; threads read ahead."""
    opened = (_OpenBatch(dataset, items.tolist(), epoch=epoch, share=share) for items in groups)
    wanted = (batch for batch in opened if batch.size)
    if workers:
        yield from _read_ahead(wanted, workers=workers)
        return
    for batch in wanted:
        for task in batch.tasks():
            task()
        yield batch.whole()


def _read_ahead(opened: Iterable["_OpenBatch"], *, workers: int) -> Iterator[Batch]:
    """Give batches in order; the first error of a batch's tasks, whatever it is, is raised.

    When the reader stops early or fails, tasks that have not begun never do, and the threads have
    ended before it goes on.
    """
    waiting: deque[tuple[_OpenBatch, list[Future[None]]]] = deque()
    threads = ThreadPoolExecutor(workers, "gram-loader")
    try:
        for batch in opened:
            waiting.append((batch, [threads.submit(task) for task in batch.tasks()]))
            if len(waiting) > BATCHES_AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _finished(batch: "_OpenBatch", tasks: Iterable[Future[None]]) -> Batch:
    for task in tasks:
        task.result()
    return batch.whole()


# --- one batch -------------------------------------------------------------------------------


class _OpenBatch:
    """Memory for the share of a batch, which is filled task by task, in any order."""

    def __init__(self, dataset: ClipDataset, items: list[int], *, epoch: int, share: Share) -> None:
        self._dataset, self._items, self._epoch = dataset, items, epoch
        self._share = share.of(len(items))
        self._own = items[self._share]
        self.size = len(self._own)
        # Threads do not share the reader's inference mode, and could not write to what it makes.
        with torch.inference_mode(mode=False):
            self._inputs = {
                name: dataset.empty(name, self.size)
                for name in dataset.modalities
                if name is not Modality.SUBTITLE
            }
            self._present = {
                name: torch.zeros(self.size, dtype=torch.bool) for name in dataset.modalities
            }
        self._clip_ids = [""] * self.size
        self._caption: Tokens | None = None
        self._subtitle: Tokens | None = None

    def tasks(self) -> list[Callable[[], None]]:
        """Give what is to be done before the batch is whole: each once, by any thread."""
        return [*(partial(self._fill, place) for place in range(self.size)), self._encode]

    def whole(self) -> Batch:
        """Give the batch, once all tasks are done."""
        return Batch(
            clip_ids=tuple(self._clip_ids),
            caption=self._caption,
            video_bfchw=self._inputs.get(Modality.VIDEO),
            depth_bfchw=self._inputs.get(Modality.DEPTH),
            audio_bctm=self._inputs.get(Modality.AUDIO),
            subtitle=self._subtitle,
            present=self._present,
        )

    def _fill(self, place: int) -> None:
        """Read an item, and write it to its place; zeros where it lacks a modality."""
        sample = self._dataset.sample(self._own[place], epoch=self._epoch)
        self._clip_ids[place] = sample.clip_id
        values: dict[Modality, Tensor | None] = {
            Modality.VIDEO: sample.video_fchw,
            Modality.AUDIO: sample.audio_ctm,
            Modality.DEPTH: sample.depth_fchw,
        }
        for name, input_b in self._inputs.items():
            value = values[name]
            self._present[name][place] = value is not None
            # One order in memory however it came: a network's rounding depends on it.
            input_b[place].zero_() if value is None else input_b[place].copy_(value)
        if Modality.SUBTITLE in self._present:
            self._present[Modality.SUBTITLE][place] = sample.subtitle is not None

    def _encode(self) -> None:
        """Encode the texts of the whole batch, so that those of all shares are equally long."""
        self._caption = _part(self._dataset.captions(self._items, epoch=self._epoch), self._share)
        if Modality.SUBTITLE in self._dataset.modalities:
            self._subtitle = _part(self._dataset.subtitles(self._items), self._share)


def _part(tokens: Tokens, share: slice) -> Tokens:
    return Tokens(ids_bl=tokens.ids_bl[share], mask_bl=tokens.mask_bl[share])
