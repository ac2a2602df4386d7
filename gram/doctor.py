"""What this machine has, and what a model would need, without allocating any of it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from gram.config import InputsConfig, ModelConfig
from gram.data.ffmpeg import ffmpeg_version, find_ffmpeg
from gram.fetch.site import JS_RUNTIMES
from gram.model import GramModel

BYTES = 4
"""Of a parameter, its gradient, and each of the optimizer's two moments: single precision."""

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


def training_bytes(num_parameters: int) -> int:
    """Give the memory that weights, gradients and both moments of AdamW take, in bytes.

    Activations come on top; they follow from the batch and are not counted.
    """
    return 4 * BYTES * num_parameters


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
