"""Vectors of texts and clips, from a file of others or from a folder of this project.

A snapshot is one safetensors file with a tensor ``text`` and one for each modality, ``video``,
``audio``, ``subtitle`` (or ``subtitles``), ``depth``, each of shape (clips, width): row i of every
tensor is the same clip, with its one text.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from gram.config import ProtocolConfig
from gram.evaluation.embeddings import VECTORS, load_embeddings
from gram.evaluation.protocol import choose
from gram.evaluation.ranked import RankedSet, paired_set
from gram.types import ITEM_MODALITIES, Modality

LENGTH_ERROR = 1e-2
"""How far from 1 the length of a vector may be; nearer ones are scaled to 1."""

OTHER_NAMES = {Modality.SUBTITLE: "subtitles"}


def read_ranked(path: Path, protocol: ProtocolConfig) -> RankedSet:
    """Read texts and clips that are ranked.

    Args:
        path: A snapshot, or a folder that ``save_embeddings`` wrote.
        protocol: Which clips and texts of such a folder; a snapshot is taken whole.

    Raises:
        ValueError: If it is neither, or not whole.
    """
    if path.is_dir() and (path / VECTORS).is_file():
        return choose(load_embeddings(path), protocol).embeddings.ranked
    if not path.is_file():
        raise ValueError(
            f"no vectors at {path}; give a safetensors file with text, video and so on, or a "
            "folder results/embeddings/RUN/BENCHMARK/SPLIT"
        )
    return read_snapshot(path)


def find_snapshots(path: Path) -> list[Path]:
    """List what ``read_ranked`` can read: the path itself, or all snapshots of a folder, by name.

    Raises:
        ValueError: If a folder holds none.
    """
    if not path.is_dir() or (path / VECTORS).is_file():
        return [path]
    found = sorted(path.glob("*.safetensors"))
    if not found:
        raise ValueError(
            f"{path} holds no *.safetensors; give a folder of snapshots, one snapshot, or a folder "
            "results/embeddings/RUN/BENCHMARK/SPLIT"
        )
    return found


def read_snapshot(path: Path) -> RankedSet:
    """Read a snapshot.

    Raises:
        ValueError: If it is no whole safetensors file, lacks a tensor, or rows are not unit vectors
            of one shape.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); copy it anew"
        ) from error
    names = {name: _name_of(name, tensors) for name in ITEM_MODALITIES}
    found = {name: tensors[given] for name, given in names.items() if given is not None}
    if "text" not in tensors or not found:
        raise ValueError(
            f"{path} needs tensors text and {', '.join(ITEM_MODALITIES)} or some of them; it has "
            f"{', '.join(sorted(tensors)) or 'none'}"
        )
    shapes = {"text": tuple(tensors["text"].shape)}
    shapes |= {name.value: tuple(one.shape) for name, one in found.items()}
    if len(set(shapes.values())) > 1 or tensors["text"].ndim != 2:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{path} needs tensors of one shape (clips, width), got {told}")
    return paired_set(
        _unit(tensors["text"], name="text", path=path),
        {name: _unit(one, name=name, path=path) for name, one in found.items()},
    )


def _name_of(modality: Modality, tensors: dict[str, Tensor]) -> str | None:
    names = (modality.value, OTHER_NAMES.get(modality, modality.value))
    return next((name for name in names if name in tensors), None)


def _unit(rows_nd: Tensor, *, name: str, path: Path) -> Tensor:
    """Scale rows that are of about unit length to it."""
    rows_nd = rows_nd.float()
    far_n = ~((rows_nd.norm(dim=-1) - 1).abs() <= LENGTH_ERROR)
    if bool(far_n.any()):
        row = int(torch.nonzero(far_n)[0])
        raise ValueError(
            f"{path}: {int(far_n.sum())} of {len(rows_nd)} rows of {name} are not of length 1, row "
            f"{row} first ({float(rows_nd[row].norm()):g}); scale them, or leave these clips out"
        )
    return normalize(rows_nd, dim=-1)
