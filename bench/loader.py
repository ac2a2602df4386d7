"""The training loader: clips a second, from the shard and from its cache, on generated clips."""

from pathlib import Path

from bench.timing import Measured, in_turns
from gram.config import (
    ExtractionConfig,
    GeneratedDataset,
    InputsConfig,
    ShardsConfig,
    VocabularyConfig,
)
from gram.data.annotations import make_clips
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index, select_clips
from gram.data.depth import read_depth
from gram.data.extract import extract_chunk
from gram.data.generate import generate_clips
from gram.data.loader import batches
from gram.data.probe import probe_chunk
from gram.data.shards import index_shards, pack_shard
from gram.data.subtitles import read_subtitles
from gram.data.vocabulary import WordPieces, learn_vocabulary, read_vocabulary
from gram.types import ITEM_MODALITIES

CLIPS = 64
BATCH_SIZE = 16
TURNS = 7


def loader_section(folder: Path) -> str:
    """Measure passes over generated clips, and give the section that says what came out."""
    index = write_shards(folder)
    fresh, cached = (
        _one_pass(index, folder / "vocab.txt", cache_mib=cache_mib) for cache_mib in (0, 4096)
    )
    medians = in_turns({"from the shard": fresh, "from the cache": cached}, turns=TURNS)
    lines = [
        "## Loader",
        "",
        f"{CLIPS} generated clips: {InputsConfig().train_frames} of 32 frames to 224 x 224, sound, "
        f"subtitle, depth. Medians of {TURNS} turns.",
        "",
        "| clips | clips a second | clips a processor second |",
        "|---|---|---|",
        *(
            f"| {name} | {CLIPS / one.wall_seconds:.0f} | {CLIPS / one.cpu_seconds:.0f} |"
            for name, one in medians.items()
        ),
    ]
    return "\n".join(lines)


def _one_pass(index: Path, vocabulary: Path, *, cache_mib: int) -> Measured:
    selection = select_clips(
        read_index(index), split="train", modalities=ITEM_MODALITIES, missing="drop"
    )
    dataset = ClipDataset(
        selection.rows,
        folder=index.parent,
        inputs=InputsConfig(),
        num_frames=InputsConfig().train_frames,
        modalities=ITEM_MODALITIES,
        pieces=WordPieces(read_vocabulary(vocabulary)),
        is_training=True,
        seed=0,
        cache_mib=cache_mib,
    )
    return lambda: sum(1 for _ in batches(dataset, batch_size=BATCH_SIZE, seed=0, epoch=0))


def write_shards(folder: Path) -> Path:
    """Run the workflow's stages on generated clips, in one chunk; return the index."""
    clips = GeneratedDataset(
        kind="generated", clips={"train": CLIPS}, seconds=4.0, pixels=256, frames_per_second=8
    )
    settings, media, probed = ExtractionConfig(), folder / "media", folder / "probed.parquet"
    generate_clips(clips, chunk=0, media=media, annotations=folder / "clips.json", workers=2)
    make_clips([(None, folder / "clips.json")], folder / "clips.parquet")
    probe_chunk(folder / "clips.parquet", media=media, chunk=0, chunks=1, output=probed, workers=2)
    names = ("extracted.tar", "extracted.parquet", "depth.tar", "depth.parquet")
    extracted, extraction_table, depth, depth_table = (folder / name for name in names)
    extract_chunk(settings, probed=probed, archive=extracted, table=extraction_table, workers=2)
    read_subtitles(probed, folder / "subtitles.parquet")
    read_depth(settings, probed=probed, archive=depth, table=depth_table)
    shard, index = folder / "shards" / "0000.tar", folder / "shards" / "index.parquet"
    pack_shard(
        extracted=extracted,
        extraction_table=extraction_table,
        subtitles=folder / "subtitles.parquet",
        depth=depth,
        depth_table=depth_table,
        shard=shard,
        index=folder / "shard.parquet",
    )
    index_shards(
        ShardsConfig(),
        indexes=[folder / "shard.parquet"],
        shards=[shard],
        output=index,
        manifest=folder / "shards" / "manifest.json",
    )
    learn_vocabulary(index, split="train", settings=VocabularyConfig(), output=folder / "vocab.txt")
    return index
