"""Clips of an index -> batches of model inputs, in an order that a seed decides.

Whatever is random is drawn from (seed, epoch, row): a batch does not depend on the batches before
it, so training goes on exactly where it stopped, and any number of threads gives the same batches.

Shape letters of this file: B items, F frames or depth maps, C slices of sound, T spectrogram
frames, H and W pixels.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.config import InputsConfig
from gram.data.clip_reader import ClipReader, PictureKind
from gram.data.transforms import Crop, center_square, crop_flip, pick_per_segment, squash
from gram.data.vocabulary import WordPieces
from gram.types import Batch, Modality

BATCHES_AHEAD = 2
"""Batches that threads work on beyond the one that is asked for."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Model inputs of one clip. What the run does not use or the clip lacks is None.

    Attributes:
        clip_id: The clip.
        caption: One of its captions.
        video_fchw: Frames, uint8, shape (F, 3, H, W).
        depth_fchw: Depth maps, uint8, shape (F, 1, H, W).
        audio_ctm: Normalized filter banks, float32, shape (C, T, mel bins).
        subtitle: Its subtitle.
    """

    clip_id: str
    caption: str
    video_fchw: Tensor | None
    depth_fchw: Tensor | None
    audio_ctm: Tensor | None
    subtitle: str | None


class _Draws(NamedTuple):
    """All random choices of one clip in one epoch, in [0, 1)."""

    caption: float
    frames_f: NDArray[np.float64]
    crop: Crop
    slices_c: NDArray[np.float64]


class ClipDataset:
    """The clips of a selection, as samples and batches."""

    def __init__(
        self,
        rows: pd.DataFrame,
        *,
        folder: Path,
        inputs: InputsConfig,
        num_frames: int,
        modalities: Sequence[Modality],
        pieces: WordPieces,
        is_training: bool,
        seed: int,
        cache_mib: int = 0,
    ) -> None:
        """Take what is needed from the rows; no shard is opened yet.

        Args:
            rows: Rows of a ``Selection``.
            folder: Folder of the shards.
            inputs: Form of the model inputs, and what a missing modality means.
            num_frames: F, frames and depth maps of each clip.
            modalities: Item modalities of the run.
            pieces: Turns texts into word pieces.
            is_training: Whether caption, frames, crop and slice of sound are random; if not, the
                first caption and the middle of everything is taken.
            seed: Seed of the random choices.
            cache_mib: Memory for decoded clips, in MiB. It changes the speed only.
        """
        self._inputs, self._modalities, self._pieces = inputs, tuple(modalities), pieces
        self._is_training, self._seed = is_training, seed
        self._num_frames = num_frames
        self._has_random_crop = is_training and inputs.transform == "crop_flip"
        self._clip_ids = rows["clip_id"].tolist()
        self._captions = rows["captions"].tolist()
        self._subtitles = rows["subtitle"].tolist()
        self._has = {name: rows[f"has_{name}"].tolist() for name in self._modalities}
        self._reader = ClipReader(
            rows, folder=folder, inputs=inputs, prepare=self._prepare(), cache_mib=cache_mib
        )

    def __len__(self) -> int:
        """Give the number of clips."""
        return len(self._clip_ids)

    def sample(self, row_number: int, *, epoch: int, caption: int | None = None) -> Sample:
        """Read one clip.

        Args:
            row_number: Row of the selection, from 0.
            epoch: Decides the random choices, with seed and row; no matter when not training.
            caption: Number of the caption; None: a random one in training, else the first.

        Raises:
            ValueError: If a shard is absent or damaged; names shard and clip.
        """
        draws = self._draw(row_number, epoch=epoch) if self._is_training else None
        captions = self._captions[row_number]
        if caption is None:
            caption = int(draws.caption * len(captions)) if draws is not None else 0
        return Sample(
            clip_id=self._clip_ids[row_number],
            caption=captions[caption],
            video_fchw=self._pictures(row_number, Modality.VIDEO, draws),
            depth_fchw=self._pictures(row_number, Modality.DEPTH, draws),
            audio_ctm=self._sound(row_number, draws),
            subtitle=self._subtitle(row_number),
        )

    def batch(self, samples: Sequence[Sample]) -> Batch:
        """Join samples to a batch; see ``Batch`` for what stands where a modality is missing.

        A missing subtitle is encoded as an empty text, not as zeros, so that no row of the
        attention is masked whole.
        """
        values = {
            Modality.VIDEO: [sample.video_fchw for sample in samples],
            Modality.DEPTH: [sample.depth_fchw for sample in samples],
            Modality.AUDIO: [sample.audio_ctm for sample in samples],
        }
        subtitles = [sample.subtitle for sample in samples]
        present: dict[Modality, Sequence[object]] = {**values, Modality.SUBTITLE: subtitles}
        inputs, encode = self._inputs, self._pieces.encode
        joined = {
            name: _join(values[name], self._blank(name))
            for name in self._modalities
            if name in values
        }
        return Batch(
            clip_ids=tuple(sample.clip_id for sample in samples),
            caption=encode(
                [sample.caption for sample in samples], max_tokens=inputs.caption_tokens
            ),
            video_bfchw=joined.get(Modality.VIDEO),
            depth_bfchw=joined.get(Modality.DEPTH),
            audio_bctm=joined.get(Modality.AUDIO),
            subtitle=(
                encode([text or "" for text in subtitles], max_tokens=inputs.subtitle_tokens)
                if Modality.SUBTITLE in self._modalities
                else None
            ),
            present={
                name: torch.tensor([value is not None for value in present[name]])
                for name in self._modalities
            },
        )

    def _prepare(self) -> Callable[[Tensor], Tensor]:
        """Give the part of the transform that is the same in every epoch."""
        pixels, antialias = self._inputs.image_pixels, self._inputs.antialias
        if self._inputs.transform == "squash":
            return partial(squash, pixels=pixels, antialias=antialias)
        if not self._is_training:
            return partial(center_square, pixels=pixels, antialias=antialias)
        return lambda pictures: pictures

    def _draw(self, row_number: int, *, epoch: int) -> _Draws:
        """Draw everything, needed or not, so that runs of other modalities choose the same."""
        rng = np.random.default_rng((self._seed, epoch, row_number))
        caption, area, top, left, flip = rng.random(5).tolist()
        return _Draws(
            caption=caption,
            frames_f=rng.random(self._num_frames),
            crop=Crop(area=area, top=top, left=left, is_flipped=flip < 0.5),
            slices_c=rng.random(self._inputs.audio_clips),
        )

    def _pictures(self, row_number: int, modality: Modality, draws: _Draws | None) -> Tensor | None:
        if modality not in self._modalities or not self._has[modality][row_number]:
            return None
        kind: PictureKind = "jpgs" if modality is Modality.VIDEO else "depths"
        numbers = pick_per_segment(
            self._reader.num_pictures(row_number, kind),
            self._num_frames,
            draws_p=draws.frames_f if draws is not None else None,
        )
        pictures_fchw = self._reader.pictures(row_number, kind, numbers)
        if draws is not None and self._has_random_crop:
            inputs = self._inputs
            pictures_fchw = crop_flip(
                pictures_fchw, draws.crop, pixels=inputs.image_pixels, antialias=inputs.antialias
            )
        # One order in memory however they came: a network's rounding depends on it.
        return pictures_fchw.contiguous()

    def _sound(self, row_number: int, draws: _Draws | None) -> Tensor | None:
        if Modality.AUDIO not in self._modalities or not self._has[Modality.AUDIO][row_number]:
            return None
        numbers = pick_per_segment(
            self._reader.num_slices(row_number),
            self._inputs.audio_clips,
            draws_p=draws.slices_c if draws is not None else None,
        )
        return self._reader.sound(row_number, numbers)

    def _subtitle(self, row_number: int) -> str | None:
        if Modality.SUBTITLE not in self._modalities:
            return None
        if self._has[Modality.SUBTITLE][row_number]:
            return str(self._subtitles[row_number])
        return "" if self._inputs.missing == "drop" else None

    def _blank(self, modality: Modality) -> Tensor:
        """Give what stands for one item's input where it is missing: zeros."""
        inputs = self._inputs
        if modality is Modality.AUDIO:
            return torch.zeros(inputs.audio_clips, inputs.audio_frames, inputs.mel_bins)
        channels = 3 if modality is Modality.VIDEO else 1
        shape = (self._num_frames, channels, inputs.image_pixels, inputs.image_pixels)
        return torch.zeros(shape, dtype=torch.uint8)


def _join(values: Sequence[Tensor | None], blank: Tensor) -> Tensor:
    """Stack the inputs of several items, with a blank where there is none."""
    return torch.stack([blank if value is None else value for value in values])


def epoch_order(num_clips: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Give the order of the clips in one epoch: a permutation of 0 to ``num_clips - 1``."""
    return np.random.default_rng((seed, epoch)).permutation(num_clips)


def batches(
    dataset: ClipDataset,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int = 0,
    workers: int = 0,
) -> Iterator[Batch]:
    """Give the batches of one epoch of training.

    Args:
        dataset: The clips.
        batch_size: B. What is left at the end of the epoch is dropped; if there are fewer clips
            than B, they are one batch.
        seed: Seed of the order.
        epoch: Which epoch, from 0; decides the order and all random choices.
        start: Number of batches that are skipped, without reading them.
        workers: Threads that read ahead; 0: each batch is read when it is asked for.
    """
    order = epoch_order(len(dataset), seed=seed, epoch=epoch)
    size = min(batch_size, len(dataset))
    rows = order[: len(order) // size * size].reshape(-1, size)[start:]
    return _load(dataset, list(rows), epoch=epoch, workers=workers)


def evaluation_batches(
    dataset: ClipDataset, *, batch_size: int, workers: int = 0
) -> Iterator[Batch]:
    """Give all clips in order; the last batch may be smaller. See ``batches``."""
    order = np.arange(len(dataset))
    rows = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    return _load(dataset, rows, epoch=0, workers=workers)


def _load(
    dataset: ClipDataset, groups: Sequence[NDArray[np.int64]], *, epoch: int, workers: int
) -> Iterator[Batch]:
    """Read groups of rows as batches, in order."""
    read = partial(dataset.sample, epoch=epoch)
    if not workers:
        for rows in groups:
            yield dataset.batch([read(row) for row in rows.tolist()])
        return
    waiting: deque[list[Future[Sample]]] = deque()
    threads = ThreadPoolExecutor(max_workers=workers)
    try:
        for rows in groups:
            waiting.append([threads.submit(read, row) for row in rows.tolist()])
            if len(waiting) > BATCHES_AHEAD:
                yield dataset.batch([sample.result() for sample in waiting.popleft()])
        while waiting:
            yield dataset.batch([sample.result() for sample in waiting.popleft()])
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
