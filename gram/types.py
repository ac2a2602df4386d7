"""What every layer speaks of: modalities, batches of model inputs, embeddings.

Importing this module loads no torch: rules and extraction workers do so at every start.

Shape letters: B items, F frames, C audio clips of one item, T spectrogram frames, L tokens,
H and W pixels, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Modality(StrEnum):
    """A way to perceive a clip. TEXT, the caption, is the anchor; the others are the item's."""

    TEXT = "text"
    VIDEO = "video"
    AUDIO = "audio"
    SUBTITLE = "subtitle"
    DEPTH = "depth"


ITEM_MODALITIES: tuple[Modality, ...] = (
    Modality.VIDEO,
    Modality.AUDIO,
    Modality.SUBTITLE,
    Modality.DEPTH,
)
"""The modalities of an item, in the one order that is used everywhere."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Word pieces of a batch of texts.

    Attributes:
        ids_bl: Piece numbers, int64, shape (B, L).
        mask_bl: True where a piece is, False where padding is, bool, shape (B, L).
    """

    ids_bl: Tensor
    mask_bl: Tensor

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Tokens:
        """Give the texts with each tensor gone through a function."""
        return Tokens(ids_bl=change(self.ids_bl), mask_bl=change(self.mask_bl))

    def rows(self, part: slice) -> Tokens:
        """Give some of the texts."""
        return self.mapped(lambda tensor: tensor[part])


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Model inputs of B items. An input that no item of the run needs is None.

    Where an item lacks a modality its row holds zeros and ``present`` says False.

    Attributes:
        clip_ids: Clip id of every row.
        caption: One caption an item.
        video_bfchw: Frames, uint8, shape (B, F, 3, H, W).
        depth_bfchw: Depth maps scaled to 0..255 (255 is nearest), uint8, shape (B, F, 1, H, W).
        audio_bctm: Kaldi log-mel filter banks, normalized, float32, shape (B, C, T, mel bins).
        subtitle: One subtitle text an item.
        present: For each item modality in use, which rows have it: bool, shape (B,).
    """

    clip_ids: tuple[str, ...]
    caption: Tokens | None
    video_bfchw: Tensor | None
    depth_bfchw: Tensor | None
    audio_bctm: Tensor | None
    subtitle: Tokens | None
    present: dict[Modality, Tensor]

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Give the batch with each tensor gone through a function."""

        def tensor(value: Tensor | None) -> Tensor | None:
            return None if value is None else change(value)

        def tokens(texts: Tokens | None) -> Tokens | None:
            return None if texts is None else texts.mapped(change)

        return Batch(
            clip_ids=self.clip_ids,
            caption=tokens(self.caption),
            video_bfchw=tensor(self.video_bfchw),
            depth_bfchw=tensor(self.depth_bfchw),
            audio_bctm=tensor(self.audio_bctm),
            subtitle=tokens(self.subtitle),
            present={name: change(flags_b) for name, flags_b in self.present.items()},
        )

    def rows(self, part: slice) -> Batch:
        """Give some of the items, with all of their inputs."""
        chosen = self.mapped(lambda tensor: tensor[part])
        return replace(chosen, clip_ids=self.clip_ids[part])


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Unit vectors of B items.

    Attributes:
        vectors: For each modality, float32, shape (B, D), rows of length 1. The row of an item
            that lacks the modality has no meaning.
        present: For each item modality, which rows count: bool, shape (B,).
    """

    vectors: dict[Modality, Tensor]
    present: dict[Modality, Tensor]
