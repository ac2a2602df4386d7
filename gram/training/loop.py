"""The training loop, whole: next batch, forward, loss, backward, clip, step, log, save."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from gram.collectives import Gathering, gather, num_ranks, own_rank
from gram.config import LossConfig, TrainingConfig, canonical_json
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index, select_clips
from gram.data.loader import batches
from gram.data.vocabulary import WordPieces, read_vocabulary
from gram.files import atomic_path, sha256_of, write_text
from gram.jobs import TrainSettings
from gram.losses import (
    ContrastiveLoss,
    Tuples,
    area_contrastive_loss,
    cosine_contrastive_loss,
    eigenvalue_contrastive_loss,
    product_contrastive_loss,
    stack_items,
    volume_contrastive_loss,
)
from gram.matching import draw_hard_negatives, matching_loss, matching_rows
from gram.model import Encodings, GramModel
from gram.progress import track
from gram.stages import stage_version
from gram.tracking import Tracker
from gram.training.checkpoint import HistoryRow, PartialCheckpoint
from gram.training.means import Means
from gram.training.optimizer import build_optimizer, schedule_factor, set_rate
from gram.types import Batch, Modality, Tokens
from gram.versions import commit, versions

log = logging.getLogger(__name__)

TRACKED_STEPS = 10
"""Steps between two that are sent to the tracker; the history file has all."""

SMALLEST_TEMPERATURE = 1e-3
"""The learned temperature is kept above this; at 0 the loss has no value."""


class StepLoss(NamedTuple):
    """Parts of one step's loss, scalars."""

    total: Tensor
    contrastive: ContrastiveLoss
    matching: Tensor


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """What a training reads and writes.

    Attributes:
        index: Shard index of the data set.
        vocabulary: Word pieces of a model that starts at random; None: there is a start.
        start: Checkpoint to start from, with its word pieces; None: random weights.
        checkpoint: File that is written last; ``history.csv``, one row a step, and a readable
            description, the same name ending in ``.json``, stand beside it.
    """

    index: Path
    vocabulary: Path | None
    start: Path | None
    checkpoint: Path

    def __post_init__(self) -> None:
        """Check that word pieces come from one place."""
        if (self.vocabulary is None) == (self.start is None):
            raise ValueError(
                "a training needs a vocabulary or a checkpoint to start from, one of them; "
                f"found vocabulary {self.vocabulary}, start {self.start}"
            )

    @property
    def origin(self) -> Path:
        """What the model is made from: the checkpoint, or else the vocabulary."""
        origin = self.start or self.vocabulary
        assert origin is not None  # noqa: S101 - checked above
        return origin


def train(
    settings: TrainSettings,
    files: TrainingFiles,
    means: Means,
    *,
    tracker: Tracker,
) -> None:
    """Train a model from scratch or from a checkpoint; write its last state and its history.

    A job that was killed goes on from the newest partial checkpoint beside its output, if that
    was made with the same settings and inputs, and ends with the same weights on the same device.

    Args:
        settings: All that decides the outcome, with the seed.
        files: What is read and written.
        means: What the training may use.
        tracker: Takes losses, rates and throughput.

    Raises:
        ValueError: If no clip can be used, or the loss is not finite.
    """
    training = settings.training
    torch.manual_seed(settings.seed)
    model = _build_model(settings, files).to(means.device).train()
    optimizer = build_optimizer(model, settings.optimizer, training=training)
    dataset = _build_dataset(settings, files.index, pieces=model.pieces, cache_mib=means.cache_mib)
    num_steps = _num_steps(training, clips=len(dataset))
    partial = PartialCheckpoint(files.checkpoint, made_with=_fingerprint(settings, files))
    rows = partial.load(model, optimizer)

    stream = _endless_batches(dataset, settings, start=len(rows), workers=means.workers)
    todo = range(len(rows) + 1, num_steps + 1)
    label = f"training {files.checkpoint.parent}"
    for step in track(todo, total=num_steps, label=label, unit="steps", start=len(rows)):
        began = time.monotonic()
        batch = next(stream)
        factor = schedule_factor(
            step,
            num_steps=num_steps,
            warmup=settings.optimizer.warmup,
            schedule=settings.optimizer.schedule,
        )
        rate = set_rate(optimizer, factor)
        loss = step_loss(model, batch, settings.loss)
        _check_finite(loss, step=step, batch=batch)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        _step(model, optimizer, clip_norm=settings.optimizer.clip_norm)
        rows.append(_history_row(step, loss, model=model, rate=rate))
        if step % TRACKED_STEPS == 0 or step == num_steps:
            per_second = len(batch.clip_ids) / (time.monotonic() - began)
            tracker.metrics({**rows[-1], "clips_per_second": per_second}, step=step)
        if step % means.checkpoint_steps == 0 and step < num_steps:
            partial.save(model, optimizer, rows=rows)
            tracker.flush()  # a job that goes on from here does not send these numbers again
    _write_outputs(model, settings, files, rows=rows)
    partial.remove()


def _step(model: GramModel, optimizer: Optimizer, *, clip_norm: float | None) -> None:
    """Clip the gradient, take the step, and keep the temperature above 0."""
    if clip_norm is not None:
        clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    with torch.no_grad():
        model.temperature.clamp_(min=SMALLEST_TEMPERATURE)


def step_loss(model: GramModel, batch: Batch, config: LossConfig) -> StepLoss:
    """Compute the loss of one batch: contrastive, and matching with hard negatives.

    With several ranks a batch is a rank's share, and partners come from those of all ranks.
    """
    encodings = model.encode(batch)
    contrast = {
        "volume": volume_contrastive_loss,
        "cosine": cosine_contrastive_loss,
        "area": area_contrastive_loss,
        "eigenvalue": eigenvalue_contrastive_loss,
        "product": product_contrastive_loss,
    }[config.kind]
    vectors_bkd, present_bk = stack_items(encodings.embeddings, model.modalities)
    own = Tuples(encodings.embeddings.vectors[Modality.TEXT], vectors_bkd, present_bk)
    contrastive = contrast(
        own.anchors_nd,
        own.vectors_nkd,
        present_bk=own.present_nk,
        temperature=model.temperature,
        label_smoothing=config.label_smoothing,
        gathered=_of_all_ranks(own, gathering=config.gather),
    )
    if (
        config.matching_weight == 0
        or contrastive.text_distance_bn.shape[1] == 1  # nothing wrong to draw
        or not torch.isfinite(contrastive.total)  # the caller stops
    ):
        return StepLoss(contrastive.total, contrastive, torch.zeros(()))
    matching = _matching(model, encodings, contrastive, config=config)
    total = contrastive.total + config.matching_weight * matching
    return StepLoss(total, contrastive, matching)


def _of_all_ranks(own: Tuples, *, gathering: Gathering) -> Tuples | None:
    """Gather what the own texts and items are contrasted with; None: themselves."""
    if gathering == "connected" and num_ranks() == 1:
        return None
    given = [own.anchors_nd, own.vectors_nkd]
    if own.present_nk is not None:
        given.append(own.present_nk)
    anchors_nd, vectors_nkd, *present = gather(given, gathering=gathering)
    first = own_rank() * len(own.anchors_nd)
    return Tuples(anchors_nd, vectors_nkd, present[0] if present else None, first)


def _matching(
    model: GramModel, encodings: Encodings, contrastive: ContrastiveLoss, *, config: LossConfig
) -> Tensor:
    """Matching loss over three pairs a clip: right, wrong item, wrong text (released code).

    Wrong partners are drawn from the batch of all ranks, for the first ``matching_clips`` of a
    rank's or for all; the order of a batch is random anyway. Condition tokens are gathered with
    gradient, as in the released code.
    """
    captions, first = encodings.captions, own_rank() * len(contrastive.text_distance_bn)
    used = {"all": model.modalities, "video_audio": (Modality.VIDEO, Modality.AUDIO)}
    condition_nqd, mask_nq, ids_nl, mask_nl = gather(
        (
            *encodings.condition_of(used[config.matching_on]),
            captions.ids_bl,
            captions.mask_bl,
        ),
        gathering="connected",
    )
    wrong_item, wrong_text = draw_hard_negatives(
        contrastive.text_distance_bn,
        contrastive.item_distance_bn,
        temperature=float(model.temperature.detach()),
        first=first,
    )
    wrong_item, wrong_text = (wrong[: config.matching_clips] for wrong in (wrong_item, wrong_text))
    texts, items = matching_rows(wrong_item, wrong_text, first=first)
    logits = model.match(
        Tokens(ids_bl=ids_nl[texts], mask_bl=mask_nl[texts]),
        condition_nqd[items],
        condition_mask_bq=mask_nq[items],
    )
    return matching_loss(logits, num_right=len(wrong_item))


def _check_finite(loss: StepLoss, *, step: int, batch: Batch) -> None:
    if not torch.isfinite(loss.total):
        raise ValueError(
            f"the loss is {float(loss.total.detach())} at step {step}, on the clips "
            f"{', '.join(batch.clip_ids[:8])} and others; lower the learning rate, or look at them"
        )


def _build_model(settings: TrainSettings, files: TrainingFiles) -> GramModel:
    """Build the model with random weights, then take those of the start that it has too."""
    start = GramModel.load(files.start) if files.start is not None else None
    model = GramModel(
        settings.model,
        settings.inputs,
        pieces=start.pieces if start is not None else read_vocabulary(files.origin),
    )
    if start is not None:
        fresh = model.take_weights(start)
        log.info("weights of %s; random: %s", files.start, ", ".join(fresh) or "none")
    if settings.loss.temperature is not None:
        with torch.no_grad():
            model.temperature.fill_(settings.loss.temperature)
    return model


def _build_dataset(
    settings: TrainSettings, index: Path, *, pieces: tuple[str, ...], cache_mib: int
) -> ClipDataset:
    modalities = settings.model.modalities
    selection = select_clips(
        read_index(index),
        split=settings.training.split,
        modalities=modalities,
        missing=settings.inputs.missing,
    )
    log.info("clips: %s", ", ".join(f"{name} {count}" for name, count in selection.counts.items()))
    return ClipDataset(
        selection.rows,
        folder=index.parent,
        inputs=settings.inputs,
        num_frames=settings.inputs.train_frames,
        modalities=modalities,
        pieces=WordPieces(pieces),
        is_training=True,
        seed=settings.seed,
        cache_mib=cache_mib,
    )


def _num_steps(training: TrainingConfig, *, clips: int) -> int:
    if training.steps is not None:
        return training.steps
    assert training.epochs is not None  # noqa: S101 - the settings give one of them
    return max(1, int(_batches_an_epoch(training, clips=clips) * training.epochs))


def _batches_an_epoch(training: TrainingConfig, *, clips: int) -> int:
    return max(1, clips // training.batch_size)


def _endless_batches(
    dataset: ClipDataset, settings: TrainSettings, *, start: int, workers: int
) -> Iterator[Batch]:
    """Give batches from the ``start``-th on, epoch after epoch."""
    size = settings.training.batch_size
    epoch, skip = divmod(start, _batches_an_epoch(settings.training, clips=len(dataset)))
    while True:
        yield from batches(
            dataset,
            batch_size=size,
            seed=settings.seed,
            epoch=epoch,
            start=skip,
            workers=workers,
        )
        epoch, skip = epoch + 1, 0


def _history_row(step: int, loss: StepLoss, *, model: GramModel, rate: float) -> HistoryRow:
    return {
        "step": step,
        "loss": float(loss.total.detach()),
        "text_to_item": float(loss.contrastive.text_to_item.detach()),
        "item_to_text": float(loss.contrastive.item_to_text.detach()),
        "matching": float(loss.matching.detach()),
        "temperature": float(model.temperature.detach()),
        "learning_rate": rate,
    }


def _fingerprint(settings: TrainSettings, files: TrainingFiles) -> str:
    """Name all that a partial checkpoint must have been made with to be gone on from."""
    sections = {name: getattr(settings, name) for name in type(settings).model_fields}
    version = stage_version("pretrain_model")  # finetuning is the same code
    return "\n".join([canonical_json(sections), str(version), *_input_digests(files)])


def _input_digests(files: TrainingFiles) -> list[str]:
    """Give the SHA-256 of the shard index, and of what the weights or pieces came from."""
    return [sha256_of(path) for path in (files.index, files.origin)]


def _write_outputs(
    model: GramModel, settings: TrainSettings, files: TrainingFiles, *, rows: list[HistoryRow]
) -> None:
    """Write history, checkpoint and its readable description; the checkpoint comes last."""
    with atomic_path(files.checkpoint.with_name("history.csv")) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    described = {
        "steps": len(rows),
        "settings": settings.model_dump(mode="json"),
        "inputs_sha256": _input_digests(files),
        "commit": commit(),
        "versions": versions("gram", "torch", "timm", "transformers"),
    }
    write_text(
        files.checkpoint.with_suffix(".json"), json.dumps(described, indent=2, sort_keys=True)
    )
    model.save(files.checkpoint)
