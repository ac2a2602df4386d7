"""The embeddings of one benchmark by one run, as one file.

Shape letters of this file: Q queries (captions), N clips of the gallery, K modalities,
D embedding width.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gram.evaluation.results import Origin
from gram.files import atomic_path
from gram.types import ITEM_MODALITIES, Modality

_METADATA = "gram"
_PRESENT = "present."


@dataclass(frozen=True, kw_only=True)
class BenchmarkEmbeddings:
    """Unit vectors of the queries and the gallery clips of one benchmark, and where they are from.

    Attributes:
        run: Name of the run that embedded them.
        benchmark: Name of the benchmark.
        dataset: Data set of the benchmark.
        split: Split of the data set that is ranked.
        modalities: Modalities of the clips, in the project's order.
        clip_ids: Clip id of every gallery row, N of them.
        queries: Text of every query, Q of them.
        counts: What became of the rows of the split: ``{"rows": 20, "used": 9, ...}``.
        trained_on: Number of gallery clips that the checkpoint's training saw.
        origin: How the vectors came about.
        text_qd: Vectors of the queries, float32, shape (Q, D), rows of length 1.
        text_clip_q: Gallery row of the right clip of every query, int64, shape (Q,).
        vectors_nd: For each modality the vectors of the clips, float32, shape (N, D). The row of
            a clip that lacks the modality has no meaning.
        present_n: For each modality, which clips have it, bool, shape (N,).

    Raises:
        ValueError: If names, shapes or rows do not fit each other, a clip has no modality at all,
            or a vector that counts holds a value that is not finite.
    """

    run: str
    benchmark: str
    dataset: str
    split: str
    modalities: tuple[Modality, ...]
    clip_ids: tuple[str, ...]
    queries: tuple[str, ...]
    counts: dict[str, int]
    trained_on: int
    origin: Origin
    text_qd: Tensor
    text_clip_q: Tensor
    vectors_nd: dict[Modality, Tensor]
    present_n: dict[Modality, Tensor]

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        problem = _shape_problem(self) or _value_problem(self)
        if problem:
            raise ValueError(
                f"embeddings of run {self.run!r} on benchmark {self.benchmark!r}: {problem}; "
                "embed the benchmark again"
            )

    @property
    def vectors_nkd(self) -> Tensor:
        """Vectors of the clips, float32, shape (N, K, D), in the order of ``modalities``."""
        return torch.stack([self.vectors_nd[name] for name in self.modalities], dim=1)

    @property
    def present_nk(self) -> Tensor:
        """Which clips have which modality, bool, shape (N, K), in the order of ``modalities``."""
        return torch.stack([self.present_n[name] for name in self.modalities], dim=1)


def save_embeddings(embeddings: BenchmarkEmbeddings, path: Path) -> None:
    """Write the embeddings of a benchmark as safetensors, whole or not at all.

    The same embeddings give the same bytes.
    """
    tensors = {"text": embeddings.text_qd, "text_clip": embeddings.text_clip_q}
    for name in embeddings.modalities:
        tensors[name.value] = embeddings.vectors_nd[name]
        tensors[_PRESENT + name.value] = embeddings.present_n[name]
    facts = {
        "run": embeddings.run,
        "benchmark": embeddings.benchmark,
        "dataset": embeddings.dataset,
        "split": embeddings.split,
        "modalities": embeddings.modalities,
        "clip_ids": embeddings.clip_ids,
        "queries": embeddings.queries,
        "counts": embeddings.counts,
        "trained_on": embeddings.trained_on,
        "origin": embeddings.origin.model_dump(mode="json"),
    }
    # One metadata key: several would be written in an order that differs from call to call.
    metadata = {_METADATA: json.dumps(facts)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(whole, temporary, metadata=metadata)


def load_embeddings(path: Path) -> BenchmarkEmbeddings:
    """Read what ``save_embeddings`` wrote, onto the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not safetensors, lacks a part, or its parts do not fit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); delete it and embed again"
        ) from error
    try:
        facts: dict[str, Any] = json.loads(metadata[_METADATA])
        modalities = tuple(Modality(name) for name in facts.pop("modalities"))
        return BenchmarkEmbeddings(
            modalities=modalities,
            clip_ids=tuple(facts.pop("clip_ids")),
            queries=tuple(facts.pop("queries")),
            origin=Origin.model_validate(facts.pop("origin")),
            text_qd=tensors["text"],
            text_clip_q=tensors["text_clip"],
            vectors_nd={name: tensors[name.value] for name in modalities},
            present_n={name: tensors[_PRESENT + name.value] for name in modalities},
            **{name: facts[name] for name in _PLAIN_FACTS},
        )
    except KeyError as error:
        raise ValueError(
            f"{path} lacks {error}; it holds the tensors {', '.join(sorted(tensors)) or 'none'}; "
            "delete it and embed again"
        ) from error


_PLAIN_FACTS = ("run", "benchmark", "dataset", "split", "counts", "trained_on")


def _shape_problem(embeddings: BenchmarkEmbeddings) -> str | None:
    """Say which part has not the shape or the order that it must have, if one has not."""
    clips, texts = len(embeddings.clip_ids), len(embeddings.queries)
    if not clips or not texts:
        return f"{texts} queries and {clips} clips, of which none may be 0"
    ordered = tuple(name for name in ITEM_MODALITIES if name in embeddings.modalities)
    if not ordered or embeddings.modalities != ordered:
        return f"modalities are {embeddings.modalities}, not item modalities in the usual order"
    width = embeddings.text_qd.shape[-1]
    wanted: list[tuple[str, Tensor, tuple[int, ...]]] = [
        ("text", embeddings.text_qd, (texts, width)),
        ("text_clip", embeddings.text_clip_q, (texts,)),
    ]
    for name in ordered:
        wanted.append((name.value, embeddings.vectors_nd[name], (clips, width)))
        wanted.append((_PRESENT + name.value, embeddings.present_n[name], (clips,)))
    for label, tensor, shape in wanted:
        if tuple(tensor.shape) != shape:
            return f"{label} has shape {tuple(tensor.shape)}, not {shape}"
    return None


def _value_problem(embeddings: BenchmarkEmbeddings) -> str | None:
    """Say which value cannot be ranked, if there is one."""
    clips = len(embeddings.clip_ids)
    if not bool(((embeddings.text_clip_q >= 0) & (embeddings.text_clip_q < clips)).all()):
        return f"text_clip names rows outside 0..{clips - 1}"
    bare = (~embeddings.present_nk.any(dim=1)).nonzero().flatten().tolist()
    if bare:
        return f"clip {embeddings.clip_ids[bare[0]]!r} ({len(bare)} in all) has no modality"
    if not bool(embeddings.text_qd.isfinite().all()):
        return "text holds values that are not finite"
    for name in embeddings.modalities:
        if not bool(embeddings.vectors_nd[name][embeddings.present_n[name]].isfinite().all()):
            return f"{name} holds values that are not finite"
    return None
