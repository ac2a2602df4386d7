"""Weight files: read without running code, and put into a model with a report of what went where.

Files of the released code: whole GRAM and VAST checkpoints, and the files that its encoders start
from (EVA-CLIP, BEATs, BERT). How they are laid out: `gram.upstream`.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gram.files import atomic_path
from gram.upstream import (
    ENCODERS,
    Resize,
    Weights,
    canonical_names,
    fit_tables,
    from_released,
    released_name,
    to_released,
)

WRAPPERS = ("model", "state_dict", "module")
"""Keys below which files of the released code and of its encoders keep their weights."""

Encoder = Literal["eva", "beats", "bert"]

_DAMAGES = (
    *(AssertionError, AttributeError, EOFError, LookupError, OSError, OverflowError, RuntimeError),
    *(SafetensorError, TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged file gives; torch's own reader of its old form gives almost anything."""


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of the weights of a file.

    Attributes:
        path: The file.
        loaded: Our names of what was loaded.
        resized: Those of them that were brought to another length.
        missing: Our names of what the file lacks; it keeps its fresh values.
        rest: What the model has no place for, under the released code's names.
    """

    path: Path
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    missing: tuple[str, ...]
    rest: Weights

    def __str__(self) -> str:
        """Say it in a few lines."""
        lines = [f"{self.path}: {len(self.loaded)} weights loaded"]
        for what, names in (
            ("brought to another length", self.resized),
            ("missing, fresh", self.missing),
            ("without a place in this model", tuple(sorted(self.rest))),
        ):
            if names:
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                lines.append(f"  {len(names)} {what}: {', '.join(names[:4])}{more}")
        return "\n".join(lines)


def read_weights(path: Path) -> Weights:
    """Read the tensors of a weight file, .safetensors or one that torch wrote; no code is run.

    A dictionary below ``model``, ``state_dict`` or ``module`` is unwrapped. Damaged numbers are
    noticed in what torch writes, which holds checksums; its form of before 1.6 and .safetensors
    have none.

    Raises:
        ValueError: If there is no such file, it is damaged, or it holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no weights at {path}; fetch the file, or give another path")
    content = _read(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(
            f"{path} holds {type(content).__name__} and not weights by name; give a checkpoint"
        )
    wrong = {
        key: type(value).__name__ if not isinstance(value, Tensor) else str(value.dtype)
        for key, value in content.items()
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.is_complex()
    }
    if wrong:
        first = next(iter(wrong))
        raise ValueError(
            f"{path} is no checkpoint of weights: {first!r} ({len(wrong)} in all) is a "
            f"{wrong[first]}; give a file of weights by name"
        )
    return dict(content)


def _read(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} is not read: it is damaged, or it holds objects that would run code when "
            f"they are read ({_first_line(error)}); fetch it again, or ask its makers for "
            "safetensors"
        ) from error
    except _DAMAGES as error:
        raise ValueError(
            f"{path} is damaged or no weight file: reading it gave {type(error).__name__} "
            f"({_first_line(error)}); fetch it again"
        ) from error


def _check_sums(path: Path) -> None:
    """Compare the parts of a file that torch wrote with their checksums; torch does not."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"its part {damaged} is not what its checksum says")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]


def load_released(model: nn.Module, path: Path, *, may_lack: Sequence[str] = ()) -> LoadReport:
    """Load a released GRAM or VAST checkpoint into a model.

    Args:
        model: A ``GramModel``.
        path: The file, ``ckpt/model_step_N.pt``.
        may_lack: Starts of our names that the file may lack, such as ``projections.depth.`` of
            VAST's; what it lacks stays fresh.

    Raises:
        ValueError: If the file cannot be read, lacks a weight, or holds one of another shape.
    """
    return _load(
        model,
        _canonical(read_weights(path), path),
        path=path,
        positions="bilinear",
        is_needed=lambda name: not name.startswith(tuple(may_lack)),
    )


def load_encoder(model: nn.Module, path: Path, *, encoder: Encoder) -> LoadReport:
    """Load the file that one of the model's encoders starts from.

    Args:
        model: A ``GramModel``.
        path: ``EVA01_CLIP_g_14_psz14_s11B.pt``, ``BEATs_iter3_plus_AS2M.pt``, or the weight file
            in a transformers folder of BERT.
        encoder: Which of them. BERT's file lacks the cross attention, which stays fresh.

    Raises:
        ValueError: If the file cannot be read, lacks a weight of the encoder, or holds one of
            another shape.
    """
    theirs, ours = ENCODERS[encoder]
    read = read_weights(path)
    if encoder == "bert":
        read = _bert_names(read)
    return _load(
        model,
        {theirs + name: weight for name, weight in _canonical(read, path).items()},
        path=path,
        positions="bicubic",
        is_needed=lambda name: name.startswith(ours) and ".crossattention." not in name,
    )


def _canonical(weights: Weights, path: Path) -> Weights:
    try:
        return canonical_names(weights)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _load(
    model: nn.Module,
    weights: Weights,
    *,
    path: Path,
    positions: Resize,
    is_needed: Callable[[str], bool],
) -> LoadReport:
    """Put weights under the released code's names into a model; what it lacks stays fresh."""
    own = model.state_dict()
    ours, rest = from_released(weights)
    given = {name: weight for name, weight in ours.items() if name in own}
    _check_kinds(given, own, path=path)
    try:
        fitted = fit_tables(given, own, positions=positions)
    except ValueError as error:
        raise ValueError(f"{path} is of another architecture: {error}") from None
    missing = sorted(own.keys() - given.keys())
    if lacking := [name for name in missing if is_needed(name)]:
        raise ValueError(
            f"{path} lacks {len(lacking)} weights of the model, {lacking[0]} "
            f"({released_name(lacking[0])!r} there) is the first; it holds {len(weights)}, give a "
            "checkpoint of this architecture, or say what it may lack"
        )
    for name, weight in fitted.items():
        if weight.shape != own[name].shape:
            raise ValueError(
                f"{path} is of another architecture: {released_name(name)!r} has shape "
                f"{tuple(weight.shape)}, the model wants {tuple(own[name].shape)}; change the "
                "model's sizes in the settings"
            )
    model.load_state_dict({**own, **fitted})
    return LoadReport(
        path=path,
        loaded=tuple(sorted(given)),
        resized=tuple(sorted(n for n in given if given[n].shape != fitted[n].shape)),
        missing=tuple(missing),
        rest={**rest, **{released_name(n): w for n, w in ours.items() if n not in own}},
    )


def _check_kinds(given: Weights, own: Weights, *, path: Path) -> None:
    """Check axes and types, and that all values are numbers, before anything is resized."""
    for name, weight in given.items():
        wanted = own[name]
        if weight.ndim != wanted.ndim:
            raise ValueError(
                f"{path} is of another architecture: {released_name(name)!r} has shape "
                f"{tuple(weight.shape)}, the model wants {tuple(wanted.shape)}; change the "
                "model's sizes in the settings"
            )
        if weight.is_floating_point() != wanted.is_floating_point():
            raise ValueError(
                f"{path} is of another architecture: {released_name(name)!r} is {weight.dtype}, "
                f"the model wants {wanted.dtype}; give a checkpoint of this model"
            )
        if not torch.isfinite(weight).all():
            raise ValueError(
                f"{path} is damaged or of a training that diverged: {released_name(name)!r} has "
                "values that are no finite numbers; fetch it again, or take an earlier checkpoint"
            )


def _bert_names(weights: Weights) -> Weights:
    """Bring BERT's names to those of today: norms were gamma and beta, the model may stand bare."""
    has_prefix = any(name.startswith("bert.") for name in weights)
    renamed = {}
    for name, weight in weights.items():
        new = name if has_prefix else f"bert.{name}"
        new = new.replace("LayerNorm.gamma", "LayerNorm.weight")
        renamed[new.replace("LayerNorm.beta", "LayerNorm.bias")] = weight
    return renamed


def write_released(model: nn.Module, report: LoadReport, path: Path) -> None:
    """Write a model as a checkpoint of the released code, with all that it had besides.

    Args:
        model: A ``GramModel``.
        report: Of the loading of the checkpoint that the model started from.
        path: File that torch writes, ``ckpt/model_step_N.pt``.
    """
    weights = to_released(model.state_dict(), report.rest)
    with atomic_path(path) as temporary:
        torch.save(weights, temporary)


def read_released_settings(checkpoint: Path) -> dict[str, object] | None:
    """Read the model settings that stand beside a released checkpoint, ``log/hps.json``.

    Returns:
        The section ``model_cfg``; None if there is no such file.

    Raises:
        ValueError: If the file is not such JSON.
    """
    path = Path(checkpoint).parent.parent / "log" / "hps.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        section = dict(content["model_cfg"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not the settings of a released checkpoint ({type(error).__name__}: "
            f"{error}); fetch it again, or take it away to go by the model's own settings"
        ) from error
    return section
