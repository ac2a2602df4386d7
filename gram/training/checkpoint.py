"""Partial checkpoints: all that a killed training needs to go on as if nothing had happened."""

import logging
import shutil
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from gram.files import atomic_path

log = logging.getLogger(__name__)

HistoryRow = dict[str, float]
"""Losses, rate and temperature of one step, by name."""


class PartialCheckpoint:
    """The newest state of an unfinished training, in ``partial/`` beside its output.

    It is read only by a job with the same settings and the same inputs, and removed when the
    training ends.
    """

    def __init__(self, output: Path, *, made_with: str) -> None:
        """Name the checkpoint of the training that writes ``output``.

        Args:
            output: File that the finished training writes.
            made_with: Settings and digests of the inputs; another value makes the file void.
        """
        self.path = output.parent / "partial" / f"{output.stem}.pt"
        self.made_with = made_with

    def save(self, model: nn.Module, optimizer: Optimizer, *, rows: list[HistoryRow]) -> None:
        """Write weights, optimizer, history and torch's generators, whole or not at all."""
        state = {
            "made_with": self.made_with,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rows": rows,
            "generator": torch.get_rng_state(),
            "cuda_generators": torch.cuda.get_rng_state_all(),
        }
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self, model: nn.Module, optimizer: Optimizer) -> list[HistoryRow]:
        """Set model, optimizer and torch's generators to the saved state, if one fits.

        Returns:
            The history so far; empty if the training starts at its first step.
        """
        if not self.path.is_file():
            return []
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if state["made_with"] != self.made_with:
            log.info("%s was made with other settings or inputs and is not used", self.path)
            return []
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_generators"])
        rows: list[HistoryRow] = state["rows"]
        log.info("going on after step %d, from %s", len(rows), self.path)
        return rows

    def remove(self) -> None:
        """Remove the folder; it is not there afterwards, whether it was before or not."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
