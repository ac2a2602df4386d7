"""The embeddings of one split of a benchmark's data set by one checkpoint, as files in one folder.

``vectors.safetensors``: the vectors, memory-mapped when they are read, and what they are of.
``clips.parquet``: one row a clip, in the order of the vectors. ``queries.parquet``: one row a text.
``condition.safetensors``: what the matching head reads of each clip, if it is kept.

All usable clips and all of their captions are embedded, once; which of them are ranked, a protocol
says (``gram.evaluation.protocol``).

Shape letters of this file: Q texts, N clips, K modalities, D embedding width.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gram.evaluation.ranked import RankedSet
from gram.evaluation.results import Origin
from gram.files import atomic_path
from gram.types import ITEM_MODALITIES, Modality

_METADATA = "gram"
_PRESENT = "present."
_PLAIN_FACTS = ("run", "benchmark", "dataset", "split", "task", "counts", "trained_on")

VECTORS, CLIPS, QUERIES, CONDITION = (
    "vectors.safetensors",
    "clips.parquet",
    "queries.parquet",
    "condition.safetensors",
)
"""Names of the files in the folder."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkEmbeddings:
    """Unit vectors of texts and clips, and where they are from.

    Attributes:
        run: Name of the run that embedded them.
        benchmark: Name of the benchmark.
        dataset: Data set of the benchmark.
        split: Split of the data set.
        task: Whether texts are captions or names of classes.
        modalities: Modalities of the clips, in the project's order.
        clip_ids: Clip id of every clip, N of them.
        queries: Every text, Q of them.
        counts: What became of the rows of the split: ``{"rows": 20, "used": 9, ...}``.
        trained_on: Number of the clips that the checkpoint's training saw.
        origin: How the vectors came about.
        text_qd: Vectors of the texts, float32, shape (Q, D), rows of length 1.
        text_group_q: What each text belongs to, int64, shape (Q,): the row of its clip, or its
            number among the classes.
        vectors_nd: For each modality the vectors of the clips, float32, shape (N, D). The row of
            a clip that lacks the modality has no meaning.
        present_n: For each modality, which clips have it, bool, shape (N,).
        clip_group_n: What each clip belongs to, int64, shape (N,): its row, or the number of its
            class.
        has_sound_n: Which clips have a sound, whether or not the run reads it, bool, shape (N,).

    Raises:
        ValueError: If names, shapes or rows do not fit each other, a clip has no modality at all,
            or a vector that counts holds a value that is not finite.
    """

    run: str
    benchmark: str
    dataset: str
    split: str
    task: Literal["retrieval", "classification"] = "retrieval"
    modalities: tuple[Modality, ...]
    clip_ids: tuple[str, ...]
    queries: tuple[str, ...]
    counts: dict[str, int]
    trained_on: int
    origin: Origin
    text_qd: Tensor
    text_group_q: Tensor
    vectors_nd: dict[Modality, Tensor]
    present_n: dict[Modality, Tensor]
    clip_group_n: Tensor
    has_sound_n: Tensor

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

    @property
    def ranked(self) -> RankedSet:
        """Texts and clips, as they are ranked against each other."""
        return RankedSet(
            text_qd=self.text_qd,
            text_group_q=self.text_group_q,
            vectors_nkd=self.vectors_nkd,
            present_nk=self.present_nk,
            clip_group_n=self.clip_group_n,
            modalities=self.modalities,
        )


def save_embeddings(embeddings: BenchmarkEmbeddings, folder: Path) -> None:
    """Write vectors, clips and queries into a folder, each file whole or not at all.

    The same embeddings give the same bytes.
    """
    tensors = {"text": embeddings.text_qd}
    for name in embeddings.modalities:
        tensors[name.value] = embeddings.vectors_nd[name]
    facts: dict[str, Any] = {name: getattr(embeddings, name) for name in _PLAIN_FACTS}
    facts["modalities"] = embeddings.modalities
    facts["origin"] = embeddings.origin.model_dump(mode="json")
    # One metadata key: several would be written in an order that differs from call to call.
    metadata = {_METADATA: json.dumps(facts)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    clips: dict[str, Any] = {
        "clip_id": pa.array(embeddings.clip_ids, pa.string()),
        "group": embeddings.clip_group_n.numpy(),
        "has_sound": embeddings.has_sound_n.numpy(),
    }
    clips |= {_PRESENT + name: embeddings.present_n[name].numpy() for name in embeddings.modalities}
    queries = {
        "text": pa.array(embeddings.queries, pa.string()),
        "group": embeddings.text_group_q.numpy(),
    }
    for file_name, columns in ((CLIPS, clips), (QUERIES, queries)):
        with atomic_path(folder / file_name) as temporary:
            pq.write_table(pa.table(columns), temporary)
    with atomic_path(folder / VECTORS) as temporary:
        save_file(whole, temporary, metadata=metadata)


def load_embeddings(folder: Path) -> BenchmarkEmbeddings:
    """Read what ``save_embeddings`` wrote; vectors are mapped, and read when they are used.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is damaged, lacks a part, or the parts do not fit.
    """
    path = folder / VECTORS
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); delete it and embed again"
        ) from error
    clips, queries = _read_table(folder / CLIPS), _read_table(folder / QUERIES)
    try:
        facts: dict[str, Any] = json.loads(metadata[_METADATA])
        modalities = tuple(Modality(name) for name in facts.pop("modalities"))
        return BenchmarkEmbeddings(
            modalities=modalities,
            clip_ids=tuple(clips["clip_id"].to_pylist()),
            queries=tuple(queries["text"].to_pylist()),
            origin=Origin.model_validate(facts.pop("origin")),
            text_qd=tensors["text"],
            text_group_q=_tensor(queries, "group"),
            vectors_nd={name: tensors[name.value] for name in modalities},
            present_n={name: _tensor(clips, _PRESENT + name) for name in modalities},
            clip_group_n=_tensor(clips, "group"),
            has_sound_n=_tensor(clips, "has_sound"),
            **{name: facts[name] for name in _PLAIN_FACTS},
        )
    except KeyError as error:
        raise ValueError(
            f"{folder} lacks {error}; its vectors are {', '.join(sorted(tensors)) or 'none'}; "
            "delete it and embed again"
        ) from error


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path} is not a whole parquet file ({error}); delete it and embed again"
        ) from error


def _tensor(table: pa.Table, column: str) -> Tensor:
    return torch.from_numpy(table[column].to_numpy().copy())


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
        ("group of the texts", embeddings.text_group_q, (texts,)),
        ("group of the clips", embeddings.clip_group_n, (clips,)),
        ("has_sound", embeddings.has_sound_n, (clips,)),
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
    strays_q = ~torch.isin(embeddings.text_group_q, embeddings.clip_group_n)
    if embeddings.task == "retrieval" and bool(strays_q.any()):
        return f"{int(strays_q.sum())} texts belong to no clip"
    bare = (~embeddings.present_nk.any(dim=1)).nonzero().flatten().tolist()
    if bare:
        return f"clip {embeddings.clip_ids[bare[0]]!r} ({len(bare)} in all) has no modality"
    if not bool(embeddings.text_qd.isfinite().all()):
        return "text holds values that are not finite"
    for name in embeddings.modalities:
        if not bool(embeddings.vectors_nd[name][embeddings.present_n[name]].isfinite().all()):
            return f"{name} holds values that are not finite"
    return None
