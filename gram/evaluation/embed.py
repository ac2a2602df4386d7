"""Embeds the texts and clips of a split of a benchmark's data set by a checkpoint.

Shape letters of this file: B clips of a batch, C classes, P prompts of a class, D width.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from gram.config.benchmark import CLASS
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import Selection, read_index, select_clips
from gram.data.loader import evaluation_batches
from gram.data.vocabulary import WordPieces
from gram.evaluation.embeddings import CONDITION, BenchmarkEmbeddings, save_embeddings
from gram.evaluation.results import Origin
from gram.evaluation.row_tensors import write_rows
from gram.files import sha256_of
from gram.jobs import EmbedSettings
from gram.model import GramModel
from gram.progress import track
from gram.types import Batch, Embeddings, Modality, Tokens

log = logging.getLogger(__name__)

DRAWN = 0
"""Seed of the clips that are taken of a split of which not all are."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The texts of a split.

    Attributes:
        queries: Every text: captions, or names of classes.
        text_group_q: What each belongs to: row of the clip, or number of the class.
        clip_group_n: What each clip belongs to.
        prompts: What is embedded for each text: itself, or every template with its name.
    """

    queries: tuple[str, ...]
    text_group_q: Tensor
    clip_group_n: Tensor
    prompts: tuple[tuple[str, ...], ...]


def embed_benchmark(
    settings: EmbedSettings,
    *,
    checkpoint: Path,
    index: Path,
    folder: Path,
    run: str,
    benchmark: str,
    device: torch.device,
    workers: int = 0,
) -> None:
    """Embed all texts and usable clips of a split, and write them with where they are from.

    A clip that lacks a modality is embedded without it, whatever the run makes of such clips in
    training; which clips are ranked is decided later.

    Args:
        settings: Inputs, frames, batch size, split; splits that the checkpoint was trained on.
        checkpoint: A checkpoint of this project.
        index: Shard index of the benchmark's data set.
        folder: Folder that the files are written to.
        run: Name of the run.
        benchmark: Name of the benchmark.
        device: Where to compute.
        workers: Threads that read clips ahead; they do not change the embeddings.

    Raises:
        ValueError: If no clip of the split can be used, or a classification has clips without a
            class.
    """
    model = GramModel.load(checkpoint).to(device)
    split, table = settings.embedded_split.name, read_index(index)
    selection = _selection(table, settings=settings, modalities=model.modalities)
    rows = selection.rows
    clip_ids = tuple(rows["clip_id"].to_pylist())
    texts = _texts(table.filter(pc.equal(table["split"], split)), rows, settings=settings)
    items = _embed_items(
        model, rows, shards=index.parent, settings=settings, workers=workers, folder=folder
    )
    embeddings = BenchmarkEmbeddings(
        run=run,
        benchmark=benchmark,
        dataset=settings.ranked_dataset,
        split=split,
        task=settings.prompts.task,
        modalities=model.modalities,
        clip_ids=clip_ids,
        queries=texts.queries,
        counts=dict(selection.counts),
        trained_on=len(clip_ids) if split in settings.trained_splits else 0,
        origin=_origin(settings, checkpoint=checkpoint, index=index),
        text_qd=_embed_texts(model, texts.prompts, settings=settings),
        text_group_q=texts.text_group_q,
        vectors_nd=items.vectors,
        present_n=items.present,
        clip_group_n=texts.clip_group_n,
        has_sound_n=torch.from_numpy(rows["has_audio"].to_numpy().astype(bool)),
    )
    save_embeddings(embeddings, folder)
    log.info("%d texts, %d clips; %s", len(texts.queries), len(clip_ids), selection.counts)


def _origin(settings: EmbedSettings, *, checkpoint: Path, index: Path) -> Origin:
    return Origin(
        lineage=settings.lineage,
        checkpoint=checkpoint.as_posix(),
        checkpoint_sha256=sha256_of(checkpoint),
        index_sha256=sha256_of(index),
        frames=settings.embedding.frames,
        missing=settings.inputs.missing,
    )


def _selection(
    table: pa.Table, *, settings: EmbedSettings, modalities: Sequence[Modality]
) -> Selection:
    """Take the usable clips, or some of them, the same ones each time, with a count of the rest."""
    split, at_most = settings.embedded_split.name, settings.embedded_split.clips
    selection = select_clips(table, split=split, modalities=modalities, missing="mask")
    count = len(selection.rows)
    if at_most is None or count <= at_most:
        return selection
    drawn = np.sort(np.random.default_rng(DRAWN).permutation(count)[:at_most])
    rows = selection.rows.take(pa.array(drawn))
    counts = {**selection.counts, "not drawn": count - at_most, "used": at_most}
    return Selection(rows=rows, counts=counts)


def _texts(split: pa.Table, rows: pa.Table, *, settings: EmbedSettings) -> Texts:
    """Give captions, or the classes of the whole split, whatever became of their clips."""
    if settings.prompts.task == "classification":
        return _classes(split, rows, templates=settings.prompts.templates)
    captions: list[list[str] | None] = rows["captions"].to_pylist()
    chosen = [(text, clip) for clip, of_clip in enumerate(captions) for text in of_clip or ()]
    queries = tuple(text for text, _ in chosen)
    return Texts(
        queries=queries,
        text_group_q=torch.tensor([clip for _, clip in chosen], dtype=torch.int64),
        clip_group_n=torch.arange(len(captions)),
        prompts=tuple((text,) for text in queries),
    )


def _classes(split: pa.Table, rows: pa.Table, *, templates: Sequence[str]) -> Texts:
    labels: list[str | None] = rows["label"].to_pylist()
    without = [number for number, label in enumerate(labels) if not label]
    if without:
        first = rows["clip_id"][without[0]].as_py()
        raise ValueError(
            f"{len(without)} of {len(labels)} clips have no class, {first!r} first; a "
            "classification needs a label of each clip in the annotations"
        )
    names = sorted({str(label) for label in split["label"].to_pylist() if label})
    number = {name: index for index, name in enumerate(names)}
    return Texts(
        queries=tuple(names),
        text_group_q=torch.arange(len(names)),
        clip_group_n=torch.tensor([number[str(label)] for label in labels]),
        prompts=tuple(
            tuple(template.replace(CLASS, name) for template in templates) for name in names
        ),
    )


@torch.inference_mode()
def _embed_items(
    model: GramModel,
    rows: pa.Table,
    *,
    shards: Path,
    settings: EmbedSettings,
    workers: int,
    folder: Path,
) -> Embeddings:
    """Embed all clips of a selection, in order, on the CPU in the end; keep condition tokens."""
    pieces = WordPieces(model.pieces)
    dataset = ClipDataset(
        rows,
        folder=shards,
        inputs=settings.inputs,
        num_frames=settings.embedding.frames,
        modalities=model.modalities,
        pieces=pieces,
        is_training=False,
        seed=0,
    )
    batch_size, kept = settings.embedding.batch_size, settings.embedding.condition
    batches = evaluation_batches(dataset, batch_size=batch_size, workers=workers)
    total, parts = -(-len(dataset) // batch_size), []
    with write_rows(folder / CONDITION, rows=len(dataset), dtype=kept) as condition:
        for batch in track(batches, total=total, label="embedding clips", unit="batches"):
            if kept == "none":
                parts.append(model.encode(batch).embeddings)
                continue
            padded = _padded(batch, pieces, length=settings.inputs.subtitle_tokens)
            encodings = model.encode(padded)
            parts.append(encodings.embeddings)
            condition.write({name.value: one for name, one in encodings.condition.items()})
    return Embeddings(
        vectors=_joined([part.vectors for part in parts], model.modalities),
        present=_joined([part.present for part in parts], model.modalities),
    )


def _joined(
    parts: Sequence[Mapping[Modality, Tensor]], modalities: Sequence[Modality]
) -> dict[Modality, Tensor]:
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in modalities}


def _padded(batch: Batch, pieces: WordPieces, *, length: int) -> Batch:
    """Make all subtitles of one length: the matching head reads their padding (released code)."""
    if batch.subtitle is None:
        return batch
    ids_bl, mask_bl = batch.subtitle.ids_bl, batch.subtitle.mask_bl
    more = (0, length - ids_bl.shape[1])
    padded = Tokens(
        ids_bl=pad(ids_bl, more, value=pieces.padding),
        mask_bl=pad(mask_bl, more, value=False),
    )
    return replace(batch, subtitle=padded)


@torch.inference_mode()
def _embed_texts(
    model: GramModel, prompts: tuple[tuple[str, ...], ...], *, settings: EmbedSettings
) -> Tensor:
    """Embed texts, in order, each as the mean of its prompts: float32, shape (Q, D), on the CPU."""
    pieces, size = WordPieces(model.pieces), settings.embedding.batch_size
    texts = [text for of_one in prompts for text in of_one]
    parts = []
    for start in range(0, len(texts), size):
        tokens = pieces.encode(
            texts[start : start + size], max_tokens=settings.inputs.caption_tokens
        )
        parts.append(model.embed_texts(tokens).cpu())
    vectors_pd = torch.cat(parts)
    if len(vectors_pd) == len(prompts):
        return vectors_pd
    mean_qd = vectors_pd.reshape(len(prompts), -1, vectors_pd.shape[1]).mean(dim=1)
    return normalize(mean_qd, dim=-1)
