"""Partial checkpoints: all that a killed training needs to go on as if nothing had happened.

They are written by a thread, from a copy of the state, while the training goes on. The name of a
file holds its step and a part of its SHA-256, so that a damaged one is noticed.
"""

import json
import logging
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from gram.collectives import num_ranks, of_all_ranks, of_first_rank, own_rank
from gram.files import DiskFullError, atomic_path, sha256_of
from gram.training.random_states import all_states, restore_all, seed_rank
from gram.training.sharding import load_optimizer, load_weights, whole

log = logging.getLogger(__name__)

HistoryRow = dict[str, float]
"""Losses, rate and temperature of one step, by name."""

KEPT = 2
"""Partial checkpoints that are kept: the newest, and the one before if that is damaged."""

DIGEST_LETTERS = 16
"""Letters of the SHA-256 in a file's name."""

MOST_DIFFERENCES = 3
"""Settings that are named when a partial checkpoint was made with others."""


@dataclass(kw_only=True)
class TrainingState:
    """What changes from step to step.

    Attributes:
        model: The weights.
        optimizer: Moments and rates.
        scaler: Factor of the gradients in float16.
        rows: History, one row a step that is done; its length is the position in the data, whose
            order depends on seed and step alone.
        seed: Seed of the settings, for processes that an earlier try did not have.
    """

    model: nn.Module
    optimizer: Optimizer
    scaler: GradScaler
    rows: list[HistoryRow]
    seed: int

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


class PartialCheckpoints:
    """The newest states of an unfinished training, in ``partial/`` beside its output.

    They are read only by a job with the same settings and the same inputs, and removed when the
    training ends. Rank 0 writes, all ranks read.
    """

    def __init__(self, output: Path, *, made_with: str) -> None:
        """Name the checkpoints of the training that writes ``output``.

        Args:
            output: File that the finished training writes.
            made_with: JSON of the settings and digests of the inputs; files with another value
                are void.
        """
        self.folder = output.parent / "partial"
        self.made_with = made_with
        self._stem = output.stem
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "PartialCheckpoints":
        """Be ready to write."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread, when what it writes is written."""
        self._writer.shutdown()

    def save(self, state: TrainingState) -> None:
        """Copy the state, and let a thread write it; wait for the file before that first.

        A full disk costs this file alone: the log says so, and the training goes on. All other
        errors of the thread are raised by the next call, or by ``wait``.
        """
        self.wait()
        copy = {
            "made_with": self.made_with,
            "model": _copied(state.model.state_dict()),
            "optimizer": _copied(state.optimizer.state_dict()),
            "scaler": _copied(state.scaler.state_dict()),
            "rows": list(state.rows),
            "generators": of_all_ranks(all_states(state.device)),
        }
        if own_rank() == 0:
            self._writing = self._writer.submit(self._write, copy, step=len(state.rows))

    def wait(self) -> Path | None:
        """Wait until the last one is written; give the newest file, None if there is none.

        All ranks wait for the one that writes: where one ends, the others are ended.

        Raises:
            OSError: If it could not be written, for another reason than a full disk.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                writing.result()
            except DiskFullError as error:
                log.warning(
                    "no partial checkpoint was written, and the training goes on: %s", error
                )
        return of_first_rank(next(iter(self._files()), None))

    def load(self, state: TrainingState) -> None:
        """Set everything to the newest saved state that is whole and fits, if there is one.

        Damaged files and those of other settings are told of in the log and removed.
        """
        if (path := of_first_rank(self._choose() if own_rank() == 0 else None)) is None:
            return
        saved = torch.load(path, map_location="cpu", weights_only=True)
        load_weights(state.model, saved["model"])
        load_optimizer(state.optimizer, saved["optimizer"])
        state.scaler.load_state_dict(saved["scaler"])
        state.rows[:] = saved["rows"]
        self._restore_generators(saved["generators"], state)
        log.info("going on after step %d, from %s", len(state.rows), path)

    def remove(self) -> None:
        """Remove the folder, on rank 0 alone: another rank would remove it below its writer."""
        self.wait()
        if own_rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """List the files, newest first."""
        found = self.folder.glob(f"{self._stem}.step*.pt")
        return sorted((path for path in found if path.is_file()), reverse=True)

    def _write(self, copy: dict[str, Any], *, step: int) -> None:
        unnamed = self.folder / f"{self._stem}.pt"
        with atomic_path(unnamed) as temporary:
            _save(copy, temporary)
        name_by_content(unnamed, f"{self._stem}.step{step:09d}")
        for path in self._files()[KEPT:]:
            path.unlink()

    def _choose(self) -> Path | None:
        """Give the newest file that is whole and of these settings; remove those that are not."""
        for path in self._files():
            if not is_whole(path):
                log.warning(
                    "%s is damaged (its content is not what its name says) and is removed; the one "
                    "before it is taken, or the training starts anew",
                    path,
                )
            else:
                saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                if saved["made_with"] == self.made_with:
                    return path
                log.warning(
                    "%s was made with other settings or inputs and is removed: %s",
                    path,
                    _differences(saved["made_with"], self.made_with),
                )
            path.unlink()
        return None

    def _restore_generators(self, saved: list[dict[str, Any]], state: TrainingState) -> None:
        if len(saved) != num_ranks():
            log.info("%d processes go on with the training of %d", num_ranks(), len(saved))
        if own_rank() < len(saved):
            restore_all(saved[own_rank()], state.device)
        else:
            seed_rank(state.seed, rank=own_rank(), step=len(state.rows))


def name_by_content(path: Path, stem: str) -> Path:
    """Rename a file so that its name tells a part of its SHA-256, behind a stem; give the name."""
    return path.rename(path.with_name(f"{stem}.{_digest(path)}{path.suffix}"))


def is_whole(path: Path) -> bool:
    """Say whether the content of a file that ``name_by_content`` named is what its name says."""
    return path.suffixes[-2].removeprefix(".") == _digest(path)


def _digest(path: Path) -> str:
    return sha256_of(path)[:DIGEST_LETTERS]


def _save(copy: dict[str, Any], path: Path) -> None:
    """Write with torch; an error of the file system goes up as itself, not as torch's."""
    try:
        with path.open("wb") as file:
            torch.save(copy, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _copied(value: Any) -> Any:  # noqa: ANN401 - any part of a state
    """Copy a nested state into memory of the CPU; whole tensors, on rank 0 alone."""
    if isinstance(value, Tensor):
        tensor = whole(value.detach())
        return tensor.to("cpu", copy=True) if own_rank() == 0 else None
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(one) for one in value)
    return value


def _differences(before: str, now: str) -> str:
    """Name settings that differ between two JSON texts, with both values."""
    old, new = (_flat(json.loads(text)) for text in (before, now))
    found = [
        f"{name} was {old.get(name)}, is {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    more = len(found) - MOST_DIFFERENCES
    return "; ".join([*found[:MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else [])])


def _flat(value: Any, prefix: str = "") -> dict[str, str]:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict):
        return {prefix: re.sub(r"(?<=[0-9a-f]{12})[0-9a-f]{52}", "", json.dumps(value))}
    parts = (_flat(part, f"{prefix}.{key}" if prefix else key) for key, part in value.items())
    return {name: text for part in parts for name, text in part.items()}
