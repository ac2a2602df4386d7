"""What a training writes and tells: a row a step, and its files at the end."""

import json
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from gram.collectives import mean_of_ranks, num_ranks, own_rank
from gram.files import atomic_path, sha256_of, write_text
from gram.tracking import Tracker
from gram.training.checkpoint import HistoryRow
from gram.training.means import Means
from gram.training.preparation import Training, TrainingFiles
from gram.training.sharding import whole_weights
from gram.training.step import StepLoss
from gram.types import Batch
from gram.versions import commit, versions

TRACKED_FOLDER = "checkpoint"
"""Folder of a tracked run that takes what a training wrote."""


def losses_of_batch(loss: StepLoss) -> dict[str, float]:
    """Give the parts of a step's loss, in nats: those of the whole batch, in every rank."""
    contrastive = loss.contrastive
    parts = [loss.total, contrastive.text_to_item, contrastive.item_to_text, loss.matching]
    device = loss.total.device
    means = mean_of_ranks(torch.stack([part.detach().to(device) for part in parts])).tolist()
    return dict(zip(("loss", "text_to_item", "item_to_text", "matching"), means, strict=True))


class Stopwatch:
    """Seconds of the steps since the last look: in all, waiting for clips, computing."""

    def __init__(self) -> None:
        """Start at 0."""
        self._since, self._computed = time.monotonic(), time.process_time()
        self._waited, self._clips = 0.0, 0

    def next_batch(self, stream: Iterator[Batch]) -> Batch:
        """Take the next batch, and count its clips and the time that it took."""
        began = time.monotonic()
        batch = next(stream)
        self._waited += time.monotonic() - began
        self._clips += len(batch.clip_ids)
        return batch

    def look(self) -> dict[str, float]:
        """Give speed, share of waiting, and processor time; start again at 0."""
        now, computed = time.monotonic(), time.process_time()
        seconds = max(now - self._since, 1e-9)
        found = {
            "clips_per_second": self._clips * num_ranks() / seconds,
            "data_wait_share": self._waited / seconds,
            "system/cpu_cores": (computed - self._computed) / seconds,
        }
        self._since, self._computed, self._waited, self._clips = now, computed, 0.0, 0
        return found


def step_numbers(loss: StepLoss, training: Training, *, norm: float) -> dict[str, float]:
    """Give what is tracked of a step beside its history: rates, distances, scale, memory.

    Distances are those of rank 0's texts from all items: of the right one, and of the nearest
    wrong one.
    """
    distance_bn = loss.contrastive.text_distance_bn.float()
    own_b = torch.arange(len(distance_bn), device=distance_bn.device)
    first = own_rank() * len(distance_bn)
    wrong_bn = distance_bn.clone()
    wrong_bn[own_b, own_b + first] = float("inf")
    found = {
        "gradient_norm": norm,
        "distance/matched": distance_bn[own_b, own_b + first].mean().item(),
        "system/memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if wrong_bn.shape[1] > 1:
        found["distance/hardest_negative"] = wrong_bn.min(dim=1).values.mean().item()
    for group in training.optimizer.param_groups:
        kind = f"{group['rate']}_{'decayed' if group['weight_decay'] else 'not_decayed'}"
        found[f"learning_rate/{kind}"] = group["lr"]
    if training.precision.scaler.is_enabled():
        found["gradient_scale"] = training.precision.scaler.get_scale()
    if distance_bn.is_cuda:
        found["system/gpu_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return found


def write_outputs(training: Training, files: TrainingFiles) -> None:
    """Write history, checkpoint and its readable description; the checkpoint comes last.

    All ranks call this, since a rank may hold shares of the weights; rank 0 writes.
    """
    weights = whole_weights(training.model)
    if own_rank() > 0:
        return
    rows, kept = training.state.rows, training.choice.best_step(training.state.rows)
    write_history(files.checkpoint.with_name("history.csv"), rows)
    described = {
        "steps": len(rows),
        "kept_step": kept,
        "settings": training.settings.model_dump(mode="json"),
        "inputs_sha256": files.digests(),
        "commit": commit(),
        "versions": versions("gram", "torch", "timm", "transformers"),
    }
    write_text(
        files.checkpoint.with_suffix(".json"), json.dumps(described, indent=2, sort_keys=True)
    )
    if kept == len(rows):
        training.model.save(files.checkpoint, weights=weights)
        return
    with atomic_path(files.checkpoint) as temporary:
        shutil.copyfile(training.choice.path_of(kept), temporary)


def tell_of_outputs(files: TrainingFiles, means: Means, tracker: Tracker) -> None:
    """Give the tracker what was written, and wait until it is sent, or kept to be sent later."""
    if own_rank() > 0:
        return
    checkpoint, has_checkpoint = files.checkpoint, means.track_checkpoint or means.register_model
    told = [checkpoint.with_suffix(".json"), checkpoint.with_name("history.csv")]
    for path in [*told, *([checkpoint] if has_checkpoint else [])]:
        tracker.artifact(path, folder=TRACKED_FOLDER)
    if means.register_model:
        tracker.register(TRACKED_FOLDER, sha256=sha256_of(checkpoint))
    tracker.settle()


def write_history(path: Path, rows: list[HistoryRow]) -> None:
    """Write the history, one row a step."""
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
