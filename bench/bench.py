"""`make bench`: the pairwise volume beside its textbook form, and the loader, on this machine.

The variants of a measurement take turns, so that a change of the machine's load meets all of
them; the numbers are medians over the turns. Clips are generated in a temporary folder.

Shape letters of this file: N texts, M items, K vectors of an item, D embedding width.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

from gram.config import (
    ExtractionConfig,
    GeneratedDataset,
    InputsConfig,
    ShardsConfig,
    VocabularyConfig,
)
from gram.data.annotations import make_clips
from gram.data.clip_index import read_index, select_clips
from gram.data.depth import read_depth
from gram.data.extract import extract_chunk
from gram.data.generate import generate_clips
from gram.data.loader import ClipDataset, batches
from gram.data.probe import probe_chunk
from gram.data.shards import index_shards, pack_shard
from gram.data.subtitles import read_subtitles
from gram.data.vocabulary import WordPieces, learn_vocabulary, read_vocabulary
from gram.types import ITEM_MODALITIES
from gram.volume import pairwise_volume

TURNS = 7
SIZES = (500, 1000, 2000)
VECTORS, WIDTH = 3, 512
CLIPS = 64
BATCH_SIZE = 16

Measured = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Medians:
    """Wall-clock and processor seconds of one call, medians over the turns."""

    wall_seconds: float
    cpu_seconds: float


def main() -> None:
    """Measure, and print one table for each measurement."""
    console = Console()
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads of torch {torch.__version__}, "
        f"Python {platform.python_version()}; medians of {TURNS} interleaved runs"
    )
    console.print(volume_table())
    with tempfile.TemporaryDirectory(prefix="gram-bench-") as folder:
        console.print("Writing the clips and shards of the loader's measurement ...")
        console.print(loader_table(Path(folder)))


def in_turns(variants: Mapping[str, Measured]) -> dict[str, Medians]:
    """Time every variant once a turn, after one turn that does not count."""
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(TURNS + 1):
        for name, variant in variants.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            variant()
            if turn > 0:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - began_cpu)
    return {
        name: Medians(
            wall_seconds=statistics.median(wall[name]), cpu_seconds=statistics.median(cpu[name])
        )
        for name in variants
    }


# --- volume -----------------------------------------------------------------------------------


def textbook_volume(anchors_nd: Tensor, vectors_mkd: Tensor) -> Tensor:
    """Compute what ``pairwise_volume`` does, by the determinant of every pair's Gram matrix.

    Returns:
        Volumes, float, shape (N, M), unitless.
    """
    count = vectors_mkd.shape[1]
    along_nmk = torch.einsum("nd,mkd->nmk", anchors_nd, vectors_mkd)
    own_mkk = vectors_mkd @ vectors_mkd.mT
    gram_nmcc = anchors_nd.new_empty(*along_nmk.shape[:2], count + 1, count + 1)
    gram_nmcc[..., 0, 0] = anchors_nd.square().sum(dim=-1, keepdim=True)
    gram_nmcc[..., 0, 1:] = along_nmk
    gram_nmcc[..., 1:, 0] = along_nmk
    gram_nmcc[..., 1:, 1:] = own_mkk
    volume_nm: Tensor = torch.linalg.det(gram_nmcc).clamp_min(0).sqrt()
    return volume_nm


def volume_table() -> Table:
    """Compare both forms in time, and in largest error against the textbook form in float64."""
    table = Table(title=f"Volumes of N texts with N items of {VECTORS} vectors of width {WIDTH}")
    columns = ("N", "textbook", "gram.volume", "ratio", "textbook's error", "gram.volume's error")
    for column in columns:
        table.add_column(column, justify="right")
    for size in SIZES:
        generator = torch.Generator().manual_seed(size)
        anchors_nd = normalize(torch.randn(size, WIDTH, generator=generator), dim=-1)
        noise_mkd = torch.randn(size, VECTORS, WIDTH, generator=generator)
        vectors_mkd = normalize(anchors_nd[:, None] + 0.02 * noise_mkd, dim=-1)
        forms = {"textbook": textbook_volume, "gram": pairwise_volume}
        medians = in_turns({n: _call(form, anchors_nd, vectors_mkd) for n, form in forms.items()})
        errors = largest_errors(anchors_nd[:200], vectors_mkd[:200])
        textbook, ours = (medians[name].wall_seconds for name in forms)
        cells = [f"{textbook * 1e3:.1f} ms", f"{ours * 1e3:.1f} ms", f"{textbook / ours:.1f}"]
        table.add_row(str(size), *cells, *(f"{errors[name]:.1e}" for name in forms))
    return table


def largest_errors(anchors_nd: Tensor, vectors_mkd: Tensor) -> dict[str, float]:
    """Give each form's largest difference from the textbook form in float64, unitless."""
    exact_nm = textbook_volume(anchors_nd.double(), vectors_mkd.double())
    textbook_nm = textbook_volume(anchors_nd, vectors_mkd)
    ours_nm = pairwise_volume(anchors_nd, vectors_mkd)
    return {
        "textbook": (textbook_nm - exact_nm).abs().max().item(),
        "gram": (ours_nm - exact_nm).abs().max().item(),
    }


def _call(form: Callable[[Tensor, Tensor], Tensor], anchors: Tensor, vectors: Tensor) -> Measured:
    return lambda: form(anchors, vectors)


# --- loader -----------------------------------------------------------------------------------


def loader_table(folder: Path) -> Table:
    """Measure passes of the training loader over generated clips, without and with its cache."""
    index = write_shards(folder)
    fresh, cached = (
        _one_pass(index, folder / "vocab.txt", cache_mib=cache_mib) for cache_mib in (0, 4096)
    )
    medians = in_turns({"from the shard": fresh, "from the cache": cached})
    frames = InputsConfig().train_frames
    table = Table(
        title=f"Loader: {CLIPS} clips, {frames} of 32 frames to 224 x 224, sound, subtitle, depth"
    )
    for column in ("clips", "clips a second", "clips a processor second"):
        table.add_column(column, justify="left" if column == "clips" else "right")
    for name, median in medians.items():
        table.add_row(
            name, f"{CLIPS / median.wall_seconds:.0f}", f"{CLIPS / median.cpu_seconds:.0f}"
        )
    return table


def _one_pass(index: Path, vocabulary: Path, *, cache_mib: int) -> Measured:
    selection = select_clips(
        read_index(index), split="train", modalities=ITEM_MODALITIES, missing="drop"
    )
    dataset = ClipDataset(
        selection.rows,
        folder=index.parent,
        inputs=InputsConfig(),
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


if __name__ == "__main__":
    main()
