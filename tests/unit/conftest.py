"""A tiny model of every modality, made-up batches for it, and a data set of generated clips."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gram.config import (
    AudioConfig,
    ExtractionConfig,
    GeneratedDataset,
    InputsConfig,
    ModelConfig,
    PackingConfig,
    ShardsConfig,
    TextConfig,
    VisionConfig,
    VocabularyConfig,
)
from gram.data.annotations import make_clips
from gram.data.depth import read_depth
from gram.data.extract import extract_chunk
from gram.data.generate import generate_clips
from gram.data.probe import probe_chunk
from gram.data.shards import ChunkFiles, index_shards, pack_chunk
from gram.data.subtitles import read_subtitles
from gram.data.vocabulary import learn_vocabulary
from gram.model import GramModel
from gram.types import ITEM_MODALITIES, Batch, Modality, Tokens

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(25)))

INPUTS = InputsConfig(
    image_pixels=16,
    train_frames=2,
    mel_bins=16,
    audio_frames=32,
    audio_clips=2,
    caption_tokens=12,
    subtitle_tokens=16,
)


@pytest.fixture(scope="session")
def inputs() -> InputsConfig:
    """Small inputs, of which no two sizes are the same."""
    return INPUTS


@pytest.fixture(scope="session")
def make_model_config() -> Callable[..., ModelConfig]:
    return _make_model_config


@pytest.fixture
def make_model() -> Callable[..., GramModel]:
    """Give a function that builds a tiny model of some modalities, always with the same weights."""

    def make(modalities: Sequence[Modality] = ITEM_MODALITIES, *, seed: int = 0) -> GramModel:
        torch.manual_seed(seed)
        return GramModel(_make_model_config(modalities), INPUTS, pieces=PIECES).eval()

    return make


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    return _make_batch


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with ``index.parquet`` and ``vocab.txt`` of 12 clips to train on and 4 others.

    They have gone through all stages from generation on, in one chunk.
    """
    folder = tmp_path_factory.mktemp("generated")
    dataset = GeneratedDataset(
        kind="generated", clips={"train": 12, "test": 4}, seconds=1.0, pixels=32, seed=3
    )
    settings = ExtractionConfig(frames_per_clip=4, short_side=24)
    media, clips, probed = folder / "media", folder / "clips.parquet", folder / "probed.parquet"
    generate_clips(dataset, chunk=0, media=media, annotations=folder / "a.json", workers=2)
    make_clips([(None, folder / "a.json")], clips)
    probe_chunk(clips, media=media, chunk=0, chunks=1, output=probed, workers=2)
    extract_chunk(
        settings, probed=probed, archive=folder / "x.tar", table=folder / "x.parquet", workers=2
    )
    read_subtitles(probed, folder / "subtitles.parquet")
    read_depth(settings, probed=probed, archive=folder / "d.tar", table=folder / "d.parquet")
    index = folder / "shards" / "0000.parquet"
    files = ChunkFiles(
        extracted=folder / "x.tar",
        extraction_table=folder / "x.parquet",
        subtitles=folder / "subtitles.parquet",
        depth=folder / "d.tar",
        depth_table=folder / "d.parquet",
    )
    pack_chunk(PackingConfig(), files, index)
    output = folder / "shards" / "index.parquet"
    manifest = folder / "shards" / "manifest.json"
    index_shards(ShardsConfig(), indexes=[index], output=output, manifest=manifest)
    vocabulary = folder / "shards" / "vocab.txt"
    learn_vocabulary(output, split="train", settings=VocabularyConfig(), output=vocabulary)
    return folder / "shards"


def _make_model_config(
    modalities: Sequence[Modality] = ITEM_MODALITIES, *, dropout: float = 0.0
) -> ModelConfig:
    return ModelConfig(
        modalities=tuple(modalities),
        embedding_width=8,
        vision=VisionConfig(patch=8, width=16, depth=2, heads=2, mlp_width=32, drop_path=dropout),
        audio=AudioConfig(
            patch=16,
            patch_width=20,
            width=24,
            depth=1,
            heads=2,
            mlp_width=32,
            dropout=dropout,
            layer_drop=dropout,
            position_kernel=4,
            position_groups=4,
            buckets=8,
            max_distance=8,
        ),
        text=TextConfig(width=32, depth=1, heads=2, mlp_width=48, dropout=dropout),
    )


def _make_batch(
    size: int = 3,
    *,
    seed: int = 0,
    frames: int = 2,
    modalities: Sequence[Modality] = ITEM_MODALITIES,
    present: dict[Modality, list[bool]] | None = None,
) -> Batch:
    """Make random inputs of all modalities that are named; the others are None."""
    random = torch.Generator().manual_seed(seed)

    def pixels(channels: int) -> Tensor:
        shape = (size, frames, channels, INPUTS.image_pixels, INPUTS.image_pixels)
        return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)

    def texts(length: int) -> Tokens:
        ids_bl = torch.randint(5, len(PIECES), (size, length), generator=random)
        ids_bl[:, 0], ids_bl[:, -1] = 2, 3
        return Tokens(ids_bl=ids_bl, mask_bl=torch.ones(size, length, dtype=torch.bool))

    caption, video, depth = texts(6), pixels(3), pixels(1)
    slices = (size, INPUTS.audio_clips, INPUTS.audio_frames, INPUTS.mel_bins)
    audio, subtitle = torch.randn(slices, generator=random), texts(9)
    everywhere = {name: [True] * size for name in modalities}
    return Batch(
        clip_ids=tuple(f"clip{row}" for row in range(size)),
        caption=caption,
        video_bfchw=video if Modality.VIDEO in modalities else None,
        depth_bfchw=depth if Modality.DEPTH in modalities else None,
        audio_bctm=audio if Modality.AUDIO in modalities else None,
        subtitle=subtitle if Modality.SUBTITLE in modalities else None,
        present={
            name: torch.tensor(rows) for name, rows in {**everywhere, **(present or {})}.items()
        },
    )
