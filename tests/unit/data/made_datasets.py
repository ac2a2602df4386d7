"""Selections of made clips as the loader gives them."""

from collections.abc import Sequence
from pathlib import Path

from gram.config import InputsConfig
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index, select_clips
from gram.data.status import Status
from gram.data.vocabulary import SPECIAL, WordPieces
from gram.types import ITEM_MODALITIES, Modality
from tests.unit.data.made_shards import MadeClip

PIECES = WordPieces((*SPECIAL, *"0123456789", "clip", "hello", "caption"))

INPUTS = InputsConfig(
    image_pixels=16,
    audio_frames=32,
    transform="squash",
    missing="mask",
)

ALL = tuple(
    MadeClip(clip_id=f"clip{n}", captions=tuple(f"caption {k}" for k in range(5)), subtitle="hello")
    for n in range(10)
)
"""Ten clips that have everything."""

MIXED = (
    MadeClip(clip_id="whole", subtitle="hello"),
    MadeClip(clip_id="silent", sound_seconds=None, subtitle="hello"),
    MadeClip(clip_id="flat", depth_maps=None, subtitle="hello"),
    MadeClip(clip_id="wordless"),
    MadeClip(clip_id="bare", sound_seconds=None, depth_maps=None),
    MadeClip(clip_id="lost", status=Status.NOT_FOUND),
    MadeClip(clip_id="cut", status=Status.TRUNCATED),
    MadeClip(clip_id="other", split="test"),
)
"""Clips that lack this and that."""


def dataset(
    index: Path,
    inputs: InputsConfig = INPUTS,
    *,
    num_frames: int = 2,
    modalities: Sequence[Modality] = ITEM_MODALITIES,
    is_training: bool = True,
    seed: int = 0,
    cache_mib: int = 0,
) -> ClipDataset:
    """Give the training split of an index as a data set."""
    selection = select_clips(
        read_index(index), split="train", modalities=modalities, missing=inputs.missing
    )
    return ClipDataset(
        selection.rows,
        folder=index.parent,
        inputs=inputs,
        num_frames=num_frames,
        modalities=modalities,
        pieces=PIECES,
        is_training=is_training,
        seed=seed,
        cache_mib=cache_mib,
    )


def with_inputs(**settings: object) -> InputsConfig:
    """Give ``INPUTS`` with other settings."""
    return INPUTS.model_copy(update=settings)


def gray_levels(data: ClipDataset, row: int = 0, number: int = 0) -> list[int]:
    """Give the gray levels of the frames of a sample: they tell which ones they are."""
    video_fchw = data.sample(row, epoch=number).video_fchw
    assert video_fchw is not None
    return [int(frame.float().mean().round()) for frame in video_fchw]
