"""The index of a data set's shards, and which of its clips a run can use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gram.data.manifest import check_sizes
from gram.data.status import Status
from gram.data.tars import MEMBERS
from gram.types import Modality

COLUMNS = [
    *("clip_id", "split", "captions", "subtitle", "label", "status", "audio_seconds", "shard"),
    *("has_video", "has_audio", "has_subtitle", "has_depth", "jpgs_sizes", "depths_sizes"),
    *(f"{kind}_{fact}" for kind in MEMBERS for fact in ("offset", "size", "crc32")),
]
"""Columns of the index that a loader needs."""


class Selection(NamedTuple):
    """The clips of a split that a run uses.

    Attributes:
        rows: Their rows of the index, ``COLUMNS``, in the order of the clips table.
        counts: ``rows`` of the split; how many are ``unusable``; how many of the rest were left
            out for each cause (``without audio``); ``used``, which is what remains. Then, of the
            used ones, how many lack a modality (``used without audio``). Causes that took no clip
            are not named.
    """

    rows: pa.Table
    counts: dict[str, int]


def read_index(path: Path) -> pa.Table:
    """Read the index of a data set: one row a clip, usable or not, in the order of its clips table.

    Its shards are not read, but each must be there with as many bytes as the manifest beside the
    index says. What is read of them later is compared with its checksum.

    Returns:
        The columns ``COLUMNS``.

    Raises:
        ValueError: If there is no such file, or a shard is absent or has another size.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no index of shards at {path}; run the workflow, which makes it")
    check_sizes(path.parent)
    # One group of rows after the other: less memory, and a third less time, than all at once.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        groups = range(file.num_row_groups)
        return pa.concat_tables(file.read_row_group(group, columns=COLUMNS) for group in groups)


def select_clips(
    index: pa.Table,
    *,
    split: str,
    modalities: Sequence[Modality],
    missing: Literal["drop", "mask"],
    needs_sound: bool = False,
) -> Selection:
    """Choose the clips of a split that a run can use, and count the others.

    Args:
        index: From ``read_index``.
        split: The split.
        modalities: Item modalities of the run.
        missing: What becomes of a clip that lacks one of them. ``drop``: it is left out, but a
            clip without a subtitle stays and has an empty one, as published. ``mask``: it stays,
            without that modality. A clip that has none of them is left out either way.
        needs_sound: Whether a clip without a sound is left out, whatever the modalities.

    Raises:
        ValueError: If there is no such split, or no clip is left.
    """
    kept_n = _flags(pc.equal(index["split"], split))
    counts = {"rows": int(kept_n.sum())}
    if not counts["rows"]:
        splits = ", ".join(sorted(index["split"].unique().to_pylist())) or "none"
        raise ValueError(f"the index has no clip of the split {split!r}; it has: {splits}")
    causes = _causes(index, modalities, missing=missing)
    if needs_sound:
        causes.append(("without sound", ~_has(index, Modality.AUDIO)))
    for cause, is_out_n in causes:
        number = int((kept_n & is_out_n).sum())
        if number or cause == "unusable":
            counts[cause] = number
        kept_n &= ~is_out_n
    rows = index if kept_n.all() else index.filter(pa.array(kept_n))
    counts["used"] = rows.num_rows
    if not rows.num_rows:
        raise ValueError(_nothing_left(split, counts, modalities, missing=missing))
    if missing == "mask":
        lacking = {name: int((~_has(rows, name)).sum()) for name in modalities}
        counts |= {f"used without {name}": number for name, number in lacking.items() if number}
    return Selection(rows=rows, counts=counts)


def _causes(
    rows: pa.Table, modalities: Sequence[Modality], *, missing: Literal["drop", "mask"]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Give why clips are left out, and which ones are for that cause."""
    causes = [("unusable", _flags(pc.not_equal(rows["status"], Status.OK)))]
    if missing == "drop":
        needed = [name for name in modalities if name is not Modality.SUBTITLE]
        causes += [(f"without {name}", ~_has(rows, name)) for name in needed]
    has_any_n = np.any([_has(rows, name) for name in modalities], axis=0)
    return [*causes, ("without any modality", ~has_any_n)]


def _has(rows: pa.Table, modality: Modality) -> NDArray[np.bool_]:
    return _flags(rows[f"has_{modality}"])


def _flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    flags_n: NDArray[np.bool_] = column.to_numpy().astype(bool)
    return flags_n


def _nothing_left(
    split: str, counts: dict[str, int], modalities: Sequence[Modality], *, missing: str
) -> str:
    told = ", ".join(f"{name} {number}" for name, number in counts.items())
    advice = "see manifest.json beside the index for what became of the clips"
    if missing == "drop" and counts["unusable"] < counts["rows"]:
        advice += ", take the modality that they lack out of model.modalities, or set "
        advice += "inputs.missing to mask"
    elif counts["unusable"] < counts["rows"]:
        names = " or ".join(modalities)
        advice += f", and take what they have into model.modalities: none has {names}"
    return f"no clip of the split {split!r} is left ({told}); {advice}"
