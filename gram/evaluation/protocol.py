"""Which of the embedded clips and texts a benchmark ranks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gram.config import ProtocolConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.types import Modality


class Chosen(NamedTuple):
    """What is ranked of a folder of embeddings.

    Attributes:
        embeddings: The chosen clips and texts.
        clip_rows: Row of each chosen clip in the folder, int64.
        text_rows: Row of each chosen text in the folder, int64.
    """

    embeddings: BenchmarkEmbeddings
    clip_rows: Tensor
    text_rows: Tensor


def choose(embeddings: BenchmarkEmbeddings, protocol: ProtocolConfig) -> Chosen:
    """Choose what a protocol ranks, and count anew.

    Args:
        embeddings: All that was embedded.
        protocol: Its gallery and captions count.

    Raises:
        ValueError: If no clip, or no text, is left.
    """
    kept_n, lost = torch.ones(len(embeddings.clip_ids), dtype=torch.bool), dict[str, int]()
    for cause, is_out_n in _causes(embeddings, protocol).items():
        if number := int((kept_n & is_out_n).sum()):
            lost[cause] = number
        kept_n &= ~is_out_n
    clip_rows = kept_n.nonzero().flatten()
    if not len(clip_rows):
        told = ", ".join(f"{cause} {number}" for cause, number in lost.items())
        raise ValueError(
            f"no clip of the split {embeddings.split!r} is left in the gallery "
            f"{protocol.gallery!r} ({told}); choose another protocol.gallery, or other modalities"
        )
    text_rows = _texts(embeddings, protocol, clip_rows=clip_rows)
    number_n = torch.full_like(kept_n, -1, dtype=torch.int64)
    number_n[clip_rows] = torch.arange(len(clip_rows))
    is_retrieval = embeddings.task == "retrieval"
    group_q, group_n = embeddings.text_group_q[text_rows], embeddings.clip_group_n[clip_rows]
    counts = {name: embeddings.counts[name] for name in embeddings.counts if name != "used"}
    counts = {name: n for name, n in counts.items() if not name.startswith("used ")}
    chosen = replace(
        embeddings,
        clip_ids=tuple(embeddings.clip_ids[row] for row in clip_rows.tolist()),
        queries=tuple(embeddings.queries[row] for row in text_rows.tolist()),
        counts={**counts, **lost, "used": len(clip_rows)},
        trained_on=min(embeddings.trained_on, len(clip_rows)),  # all of a split, or none
        text_qd=embeddings.text_qd[text_rows],
        text_group_q=number_n[group_q] if is_retrieval else group_q,
        vectors_nd={name: one[clip_rows] for name, one in embeddings.vectors_nd.items()},
        present_n={name: one[clip_rows] for name, one in embeddings.present_n.items()},
        clip_group_n=number_n[group_n] if is_retrieval else group_n,
        has_sound_n=embeddings.has_sound_n[clip_rows],
    )
    lacking = {name: int((~one).sum()) for name, one in chosen.present_n.items()}
    named = {f"used without {name}": number for name, number in lacking.items() if number}
    return Chosen(replace(chosen, counts={**chosen.counts, **named}), clip_rows, text_rows)


def _causes(embeddings: BenchmarkEmbeddings, protocol: ProtocolConfig) -> Mapping[str, Tensor]:
    """Give why clips are left out of the gallery, and which ones are for that cause."""
    if protocol.gallery == "all":
        return {}
    if protocol.gallery == "with_sound":
        return {"without sound": ~embeddings.has_sound_n}
    if embeddings.origin.missing == "mask":
        return {}
    needed = [name for name in embeddings.modalities if name is not Modality.SUBTITLE]
    return {f"without {name}": ~embeddings.present_n[name] for name in needed}


def _texts(
    embeddings: BenchmarkEmbeddings, protocol: ProtocolConfig, *, clip_rows: Tensor
) -> Tensor:
    """Give the rows of the texts: of a classification all, of a retrieval those of its clips."""
    group_q = embeddings.text_group_q
    if embeddings.task == "classification":
        return torch.arange(len(group_q))
    kept_q = torch.isin(group_q, clip_rows)
    if protocol.captions == "first":
        kept_q[1:] &= group_q[1:] != group_q[:-1]  # captions of one clip stand together
    return kept_q.nonzero().flatten()
