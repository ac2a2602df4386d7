"""Partial checkpoints: all that a killed training needs to go on as if nothing had happened."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gram.files import atomic_path

log = logging.getLogger(__name__)


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

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state and the generator's, whole or not at all."""
        with atomic_path(self.path) as temporary:
            torch.save(
                {**state, "made_with": self.made_with, "generator": torch.get_rng_state()},
                temporary,
            )

    def load(self) -> dict[str, Any] | None:
        """Read the state and set the generator; None if there is none for these settings."""
        if not self.path.is_file():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        if state.pop("made_with") != self.made_with:
            log.info("%s was made with other settings or inputs and is not used", self.path)
            return None
        torch.set_rng_state(state.pop("generator"))
        return state

    def remove(self) -> None:
        """Remove the folder; it is not there afterwards, whether it was before or not."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
