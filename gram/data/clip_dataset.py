"""Items of an index -> samples: what is read of a clip, and what is drawn for it.

Whatever is random is drawn from (seed, epoch, item), so that a sample does not depend on those
that were read before it.

Shape letters of this file: B items, F frames or depth maps, C slices of sound, T spectrogram
frames, H and W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.config import InputsConfig
from gram.data.clip_reader import ClipReader, PictureKind
from gram.data.draws import Draws, draw
from gram.data.transforms import center_square, crop_flip, pick_per_segment, squash
from gram.data.vocabulary import WordPieces
from gram.types import Modality, Tokens


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Model inputs of one item. What the run does not use or the clip lacks is None.

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


class ClipDataset:
    """The clips of a selection, as samples and batches.

    An item is a clip, or a clip with one of its captions where each is an item of its own
    (training with ``inputs.captions`` of ``all``).
    """

    def __init__(
        self,
        rows: pa.Table,
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
            is_training: Whether frames, crop and slice of sound are random, and captions are
                chosen by ``inputs.captions``; if not, the first caption and the middle of
                everything is taken.
            seed: Seed of the random choices.
            cache_mib: Memory for decoded clips, in MiB. It changes the speed only.
        """
        self._inputs, self._modalities, self._pieces = inputs, tuple(modalities), pieces
        self._is_training, self._seed = is_training, seed
        self._num_frames = num_frames
        self._has_random_crop = is_training and inputs.transform == "crop_flip"
        self._clip_ids, self._captions = rows["clip_id"], rows["captions"]
        self._subtitles = rows["subtitle"]
        self._has = {name: rows[f"has_{name}"].to_numpy() for name in self._modalities}
        is_item_a_caption = is_training and inputs.captions == "all"
        self._first_items = self._items_begin() if is_item_a_caption else None
        self._reader = ClipReader(
            rows, folder=folder, inputs=inputs, prepare=self._prepare(), cache_mib=cache_mib
        )

    def __len__(self) -> int:
        """Give the number of items."""
        return len(self._clip_ids) if self._first_items is None else int(self._first_items[-1])

    def sample(self, item: int, *, epoch: int) -> Sample:
        """Read one item.

        Args:
            item: Number of the item, from 0.
            epoch: Decides the random choices, with seed and item; no matter when not training.

        Raises:
            ValueError: If a shard is absent or damaged; names shard and clip.
        """
        row, draws = self._row_of(item), self._draw(item, epoch=epoch)
        return Sample(
            clip_id=self._clip_id(row),
            caption=self._caption(item, draws),
            video_fchw=self._pictures(row, Modality.VIDEO, draws),
            depth_fchw=self._pictures(row, Modality.DEPTH, draws),
            audio_ctm=self._sound(row, draws),
            subtitle=self._subtitle(row),
        )

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Item modalities of the run."""
        return self._modalities

    def captions(self, items: Sequence[int], *, epoch: int) -> Tokens:
        """Encode the captions of items, padded to the longest of them."""
        texts = [self._caption(item, self._draw(item, epoch=epoch)) for item in items]
        return self._pieces.encode(texts, max_tokens=self._inputs.caption_tokens)

    def subtitles(self, items: Sequence[int]) -> Tokens:
        """Encode the subtitles of items, padded to the longest of them.

        A missing one is encoded as an empty text, not as zeros, so that no row of the attention is
        masked whole.
        """
        texts = [self._subtitle(self._row_of(item)) or "" for item in items]
        return self._pieces.encode(texts, max_tokens=self._inputs.subtitle_tokens)

    def empty(self, modality: Modality, num_items: int) -> Tensor:
        """Give memory for the inputs of some items, whatever stands in it; not for subtitles."""
        inputs = self._inputs
        if modality is Modality.AUDIO:
            shape = (num_items, inputs.audio_clips, inputs.audio_frames, inputs.mel_bins)
            return torch.empty(shape)
        channels = 3 if modality is Modality.VIDEO else 1
        side = inputs.image_pixels
        return torch.empty(num_items, self._num_frames, channels, side, side, dtype=torch.uint8)

    def _prepare(self) -> Callable[[Tensor], Tensor]:
        """Give the part of the transform that is the same in every epoch."""
        pixels, antialias = self._inputs.image_pixels, self._inputs.antialias
        if self._inputs.transform == "squash":
            return partial(squash, pixels=pixels, antialias=antialias)
        if not self._is_training:
            return partial(center_square, pixels=pixels, antialias=antialias)
        return lambda pictures: pictures

    def _items_begin(self) -> NDArray[np.int64]:
        """Give the first item of each row, where each caption is an item; the last is their number.

        Raises:
            ValueError: If a clip has no caption.
        """
        counts = pc.list_value_length(self._captions).fill_null(0).to_numpy()
        if (without := np.flatnonzero(counts == 0)).size:
            raise ValueError(
                f"{without.size} clips have no caption, {self._clip_id(int(without[0]))!r} first; "
                "give them one in their annotations"
            )
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def _row_of(self, item: int) -> int:
        if self._first_items is None:
            return item
        return int(np.searchsorted(self._first_items, item, side="right")) - 1

    def _clip_id(self, row: int) -> str:
        return str(self._clip_ids[row].as_py())

    def _caption(self, item: int, draws: Draws | None) -> str:
        row = self._row_of(item)
        captions: list[str] = self._captions[row].as_py()
        if self._first_items is not None:
            return captions[item - int(self._first_items[row])]
        if draws is None or self._inputs.captions == "first":
            return captions[0]
        return captions[int(draws.caption * len(captions))]

    def _draw(self, item: int, *, epoch: int) -> Draws | None:
        if not self._is_training:
            return None
        return draw(
            seed=self._seed,
            epoch=epoch,
            item=item,
            num_frames=self._num_frames,
            num_slices=self._inputs.audio_clips,
        )

    def _pictures(self, row: int, modality: Modality, draws: Draws | None) -> Tensor | None:
        if modality not in self._modalities or not self._has[modality][row]:
            return None
        kind: PictureKind = "jpgs" if modality is Modality.VIDEO else "depths"
        numbers = pick_per_segment(
            self._reader.num_pictures(row, kind),
            self._num_frames,
            draws_p=draws.frames_f if draws is not None else None,
        )
        pictures_fchw = self._reader.pictures(row, kind, numbers)
        if draws is not None and self._has_random_crop:
            inputs = self._inputs
            pictures_fchw = crop_flip(
                pictures_fchw, draws.crop, pixels=inputs.image_pixels, antialias=inputs.antialias
            )
        return pictures_fchw

    def _sound(self, row: int, draws: Draws | None) -> Tensor | None:
        if Modality.AUDIO not in self._modalities or not self._has[Modality.AUDIO][row]:
            return None
        numbers = pick_per_segment(
            self._reader.num_slices(row),
            self._inputs.audio_clips,
            draws_p=draws.slices_c if draws is not None else None,
        )
        return self._reader.sound(row, numbers)

    def _subtitle(self, row: int) -> str | None:
        if Modality.SUBTITLE not in self._modalities:
            return None
        if self._has[Modality.SUBTITLE][row]:
            return str(self._subtitles[row].as_py())
        return "" if self._inputs.missing == "drop" else None
