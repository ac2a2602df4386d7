"""Embeds the queries and clips of a benchmark by a checkpoint."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gram.data.clip_index import read_index, select_clips
from gram.data.loader import ClipDataset, evaluation_batches
from gram.data.vocabulary import WordPieces
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
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
    names: Mapping[str, str],
    device: torch.device,
) -> None:
    """Embed all queries and clips of a benchmark, and write them with where they are from.

    Args:
        settings: Inputs, batch size and protocol; splits that the checkpoint was trained on.
        checkpoint: A checkpoint of this project.
        index: Shard index of the benchmark's data set.
        output: File that is written.
        names: ``run``, ``benchmark`` and ``dataset``.
        device: Where to compute.

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
    pieces = WordPieces(model.pieces)
    dataset = ClipDataset(
        selection.rows,
        folder=index.parent,
        inputs=settings.inputs,
        modalities=model.modalities,
        pieces=pieces,
        is_training=False,
        seed=0,
    )
    captions = [list(row) for row in selection.rows["captions"]]
    queries = [
        (text, clip)
        for clip, texts in enumerate(captions)
        for text in (texts if protocol.captions == "all" else texts[:1])
    ]
    texts = tuple(text for text, _ in queries)
    clip_ids = tuple(str(clip_id) for clip_id in selection.rows["clip_id"])
    items = _embed_items(model, dataset, batch_size=settings.embedding.batch_size)
    embeddings = BenchmarkEmbeddings(
        run=names["run"],
        benchmark=names["benchmark"],
        dataset=names["dataset"],
        split=protocol.split,
        modalities=model.modalities,
        clip_ids=clip_ids,
        queries=texts,
        counts=dict(selection.counts),
        trained_on=len(clip_ids) if protocol.split in settings.trained_splits else 0,
        text_qd=_embed_texts(model, texts, pieces=pieces, settings=settings),
        text_clip_q=torch.tensor([clip for _, clip in queries]),
        vectors_nd={name: items.vectors[name] for name in model.modalities},
        present_n=items.present,
    )
    save_embeddings(embeddings, output)
    log.info("%d queries, %d clips; %s", len(texts), len(clip_ids), selection.counts)


@torch.inference_mode()
def _embed_items(model: GramModel, dataset: ClipDataset, *, batch_size: int) -> Embeddings:
    """Embed all clips of a data set, in order, on the CPU in the end."""
    num_batches = -(-len(dataset) // batch_size)
    parts = [
        model.encode(batch).embeddings
        for batch in track(
            evaluation_batches(dataset, batch_size=batch_size),
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
