"""Embeds the queries and clips of a benchmark by a checkpoint."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import torch
from torch import Tensor

from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index, select_clips
from gram.data.loader import evaluation_batches
from gram.data.vocabulary import WordPieces
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
from gram.evaluation.results import Origin
from gram.files import sha256_of
from gram.jobs import EmbedSettings
from gram.model import GramModel
from gram.progress import track
from gram.types import Embeddings

log = logging.getLogger(__name__)


def embed_benchmark(
    settings: EmbedSettings,
    *,
    checkpoint: Path,
    index: Path,
    output: Path,
    run: str,
    benchmark: str,
    device: torch.device,
    workers: int = 0,
) -> None:
    """Embed all queries and clips of a benchmark, and write them with where they are from.

    Args:
        settings: Inputs, frames, batch size, protocol; splits that the checkpoint was trained on.
        checkpoint: A checkpoint of this project.
        index: Shard index of the benchmark's data set.
        output: File that is written.
        run: Name of the run.
        benchmark: Name of the benchmark.
        device: Where to compute.
        workers: Threads that read clips ahead; they do not change the embeddings.

    Raises:
        ValueError: If no clip of the split can be used.
    """
    model = GramModel.load(checkpoint).to(device)
    protocol = settings.protocol
    selection = select_clips(
        read_index(index),
        split=protocol.split,
        modalities=model.modalities,
        missing=settings.inputs.missing,
    )
    pieces, rows = WordPieces(model.pieces), selection.rows
    clip_ids = tuple(rows["clip_id"].to_pylist())
    queries, text_clip_q = _queries(rows["captions"].to_pylist(), protocol.captions)
    items = _embed_items(model, rows, folder=index.parent, settings=settings, workers=workers)
    embeddings = BenchmarkEmbeddings(
        run=run,
        benchmark=benchmark,
        dataset=settings.ranked_dataset,
        split=protocol.split,
        modalities=model.modalities,
        clip_ids=clip_ids,
        queries=queries,
        counts=dict(selection.counts),
        trained_on=len(clip_ids) if protocol.split in settings.trained_splits else 0,
        origin=_origin(settings, checkpoint=checkpoint, index=index),
        text_qd=_embed_texts(model, queries, pieces=pieces, settings=settings),
        text_clip_q=text_clip_q,
        vectors_nd=items.vectors,
        present_n=items.present,
    )
    save_embeddings(embeddings, output)
    log.info("%d queries, %d clips; %s", len(queries), len(clip_ids), selection.counts)


def _origin(settings: EmbedSettings, *, checkpoint: Path, index: Path) -> Origin:
    return Origin(
        lineage=settings.lineage,
        checkpoint=checkpoint.as_posix(),
        checkpoint_sha256=sha256_of(checkpoint),
        index_sha256=sha256_of(index),
        frames=settings.embedding.frames,
        captions=settings.protocol.captions,
        missing=settings.inputs.missing,
    )


def _queries(
    captions: Sequence[Sequence[str]], which: Literal["first", "all"]
) -> tuple[tuple[str, ...], Tensor]:
    """Choose the captions that are queries; give them with the row of each one's clip."""
    chosen = [
        (text, clip)
        for clip, texts in enumerate(captions)
        for text in (texts if which == "all" else texts[:1])
    ]
    return tuple(text for text, _ in chosen), torch.tensor([clip for _, clip in chosen])


@torch.inference_mode()
def _embed_items(
    model: GramModel, rows: pa.Table, *, folder: Path, settings: EmbedSettings, workers: int
) -> Embeddings:
    """Embed all clips of a selection, in order, on the CPU in the end."""
    dataset = ClipDataset(
        rows,
        folder=folder,
        inputs=settings.inputs,
        num_frames=settings.embedding.frames,
        modalities=model.modalities,
        pieces=WordPieces(model.pieces),
        is_training=False,
        seed=0,
    )
    batch_size = settings.embedding.batch_size
    num_batches = -(-len(dataset) // batch_size)
    parts = [
        model.encode(batch).embeddings
        for batch in track(
            evaluation_batches(dataset, batch_size=batch_size, workers=workers),
            total=num_batches,
            label="embedding clips",
            unit="batches",
        )
    ]
    return Embeddings(
        vectors={
            name: torch.cat([part.vectors[name].cpu() for part in parts])
            for name in model.modalities
        },
        present={
            name: torch.cat([part.present[name].cpu() for part in parts])
            for name in model.modalities
        },
    )


@torch.inference_mode()
def _embed_texts(
    model: GramModel, texts: tuple[str, ...], *, pieces: WordPieces, settings: EmbedSettings
) -> Tensor:
    """Embed captions, in order: float32, shape (Q, D), on the CPU."""
    size = settings.embedding.batch_size
    parts = []
    for start in range(0, len(texts), size):
        tokens = pieces.encode(
            texts[start : start + size], max_tokens=settings.inputs.caption_tokens
        )
        parts.append(model.embed_texts(tokens).cpu())
    return torch.cat(parts)
