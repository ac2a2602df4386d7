"""The index of a data set's shards, and which of its clips a run can use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gram.data.status import Status
from gram.types import Modality


class Selection(NamedTuple):
    """The clips of a split that a run uses.

    Attributes:
        rows: Their rows of the index, in the order of the clips table, numbered from 0.
        counts: ``rows`` of the split; how many are ``unusable``; how many of the rest were left
            out for each cause (``without audio``); ``used``, which is what remains. Then, of the
            used ones, how many lack a modality (``used without audio``). Causes that took no clip
            are not named.
    """

    rows: pd.DataFrame
    counts: dict[str, int]


def read_index(path: Path) -> pd.DataFrame:
    """Read the index of a data set: one row a clip, usable or not, in the order of its clips table.

    Raises:
        ValueError: If there is no such file.
    """
    if not Path(path).is_file():
        raise ValueError(f"no index of shards at {path}; run the workflow, which makes it")
    return pd.read_parquet(path)


def select_clips(
    index: pd.DataFrame,
    *,
    split: str,
    modalities: Sequence[Modality],
    missing: Literal["drop", "mask"],
) -> Selection:
    """Choose the clips of a split that a run can use, and count the others.

    Args:
        index: From ``read_index``.
        split: The split.
        modalities: Item modalities of the run.
        missing: What becomes of a clip that lacks one of them. ``drop``: it is left out, but a
            clip without a subtitle stays and has an empty one, as published. ``mask``: it stays,
            without that modality. A clip that has none of them is left out either way.

    Raises:
        ValueError: If there is no such split, or no clip is left.
    """
    of_split = index[(index["split"] == split).to_numpy(bool)]
    if of_split.empty:
        splits = ", ".join(sorted(index["split"].unique())) or "none"
        raise ValueError(f"the index has no clip of the split {split!r}; it has: {splits}")
    kept_n = np.ones(len(of_split), dtype=bool)
    counts = {"rows": len(of_split)}
    for cause, is_out_n in _causes(of_split, modalities, missing=missing):
        number = int((kept_n & is_out_n).sum())
        if number or cause == "unusable":
            counts[cause] = number
        kept_n &= ~is_out_n
    rows = of_split[kept_n].reset_index(drop=True)
    counts["used"] = len(rows)
    if rows.empty:
        raise ValueError(_nothing_left(split, counts, missing=missing))
    if missing == "mask":
        lacking = {name: int((~_has(rows, name)).sum()) for name in modalities}
        counts |= {f"used without {name}": number for name, number in lacking.items() if number}
    return Selection(rows=rows, counts=counts)


def _causes(
    rows: pd.DataFrame, modalities: Sequence[Modality], *, missing: Literal["drop", "mask"]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Give why clips are left out, and which ones are for that cause."""
    causes = [("unusable", (rows["status"] != Status.OK).to_numpy(bool))]
    if missing == "drop":
        needed = [name for name in modalities if name is not Modality.SUBTITLE]
        causes += [(f"without {name}", ~_has(rows, name)) for name in needed]
    has_any_n = np.any([_has(rows, name) for name in modalities], axis=0)
    return [*causes, ("without any modality", ~has_any_n)]


def _has(rows: pd.DataFrame, modality: Modality) -> NDArray[np.bool_]:
    return rows[f"has_{modality}"].to_numpy(bool)


def _nothing_left(split: str, counts: dict[str, int], *, missing: str) -> str:
    told = ", ".join(f"{name} {number}" for name, number in counts.items())
    advice = "see manifest.json beside the index for what became of the clips"
    if missing == "drop" and counts["unusable"] < counts["rows"]:
        advice += ", take the modality that they lack out of model.modalities, or set "
        advice += "inputs.missing to mask"
    return f"no clip of the split {split!r} is left ({told}); {advice}"
