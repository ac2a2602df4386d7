"""What a training writes and tells: a row a step, and its files at the end."""

import json
import shutil
from pathlib import Path

import pandas as pd
import torch

from gram.collectives import mean_of_ranks, own_rank
from gram.files import atomic_path, write_text
from gram.training.checkpoint import HistoryRow
from gram.training.preparation import Training, TrainingFiles
from gram.training.sharding import whole_weights
from gram.training.step import StepLoss
from gram.versions import commit, versions


def losses_of_batch(loss: StepLoss) -> dict[str, float]:
    """Give the parts of a step's loss, in nats: those of the whole batch, in every rank."""
    contrastive = loss.contrastive
    parts = [loss.total, contrastive.text_to_item, contrastive.item_to_text, loss.matching]
    device = loss.total.device
    means = mean_of_ranks(torch.stack([part.detach().to(device) for part in parts])).tolist()
    return dict(zip(("loss", "text_to_item", "item_to_text", "matching"), means, strict=True))


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
        "inputs_sha256": list(files.digests().values()),
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


def write_history(path: Path, rows: list[HistoryRow]) -> None:
    """Write the history, one row a step."""
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
