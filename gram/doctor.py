"""What this machine has, and what a model would need, without allocating any of it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from gram.config import InputsConfig, LossConfig, ModelConfig
from gram.data.ffmpeg import ffmpeg_version, find_ffmpeg
from gram.fetch.site import JS_RUNTIMES
from gram.model import GramModel
from gram.training.memory import Case, training_memory

GPU_GB = (24, 40, 80, 141)
"""Sizes of GPUs that are asked about, in GB."""

BATCH_SIZE = 256
"""Clips of a step, of all processes together (paper)."""

CASES = tuple(
    Case(
        batch_size=BATCH_SIZE,
        processes=processes,
        is_sharded=is_sharded,
        is_checkpointed=is_checkpointed,
    )
    for processes, is_sharded in ((1, False), (4, False), (4, True), (8, True))
    for is_checkpointed in (False, True)
)
"""Ways to train that are asked about."""

LEAST_FREE_GIB = 5.0
"""Free disk below which the demo or an own run is likely to stop."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What it is.
        found: What was found.
        advice: What to do about it; empty: it is well.
    """

    what: str
    found: str
    advice: str = ""


class MemoryLine(NamedTuple):
    """What one way to train takes of a GPU.

    Attributes:
        case: The way.
        least_gb: GB that one clip at a time takes.
        clips: For each of ``GPU_GB``, the clips whose graph fits at once; 0: not even one's.
    """

    case: Case
    least_gb: float
    clips: tuple[int, ...]


def count_parameters(
    model: ModelConfig, inputs: InputsConfig, *, num_pieces: int
) -> Mapping[str, int]:
    """Count the parameters of each part of a model, on the meta device: nothing is allocated.

    Args:
        model: Sizes.
        inputs: Sizes of what it is given.
        num_pieces: Word pieces of its vocabulary.
    """
    with torch.device("meta"):
        built = GramModel(model, inputs, pieces=("",) * num_pieces)
    counts: dict[str, int] = {}
    for name, parameter in built.named_parameters():
        part = name.split(".")[0]
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def memory_of_cases(
    model: ModelConfig, inputs: InputsConfig, *, num_pieces: int
) -> tuple[MemoryLine, ...]:
    """Compute how many clips' graphs fit into GPUs of some sizes, in the usual ways to train.

    Nothing is allocated, and nothing measured; ``gram.training.memory`` has the formula.

    Args:
        model: Sizes.
        inputs: Sizes of what it is given.
        num_pieces: Word pieces of its vocabulary.
    """
    memory = training_memory(model, inputs, LossConfig(), num_pieces=num_pieces)
    return tuple(
        MemoryLine(
            case=case,
            least_gb=memory.of_process(case, clips=1) / 1e9,
            clips=tuple(memory.most_clips(case, memory=size * 10**9) for size in GPU_GB),
        )
        for case in CASES
    )


def examine(folder: Path) -> tuple[Finding, ...]:
    """Look at ffmpeg, torch's devices, the free disk at a folder, and what reads video sites."""
    return (_ffmpeg(), _devices(), _disk(folder), _scripts())


def _ffmpeg() -> Finding:
    try:
        found = f"{ffmpeg_version()} at {find_ffmpeg()}"
    except (RuntimeError, ValueError) as error:
        return Finding(what="ffmpeg", found="none that runs", advice=str(error))
    return Finding(what="ffmpeg", found=found)


def _devices() -> Finding:
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    found = f"torch {torch.__version__}, {', '.join(names) or 'no GPU'}"
    return Finding(what="devices", found=found)


def _disk(folder: Path) -> Finding:
    free_gib = shutil.disk_usage(folder).free / 2**30
    advice = ""
    if free_gib < LEAST_FREE_GIB:
        advice = f"less than {LEAST_FREE_GIB:g} GiB; make room, or work in another folder"
    return Finding(what="disk", found=f"{free_gib:.1f} GiB free at {folder}", advice=advice)


def _scripts() -> Finding:
    found = next((path for name in JS_RUNTIMES if (path := shutil.which(name))), None)
    missing = "none (deno, node or bun; only fetching clips from YouTube needs one)"
    return Finding(what="JavaScript", found=found or missing)
