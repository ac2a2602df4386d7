"""What the matching head said of pairs, as a parquet file between reading them and scoring.

One row a re-ranked score, direction, query and candidate.

Shape letters of this file: Q queries, K best.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from gram.evaluation.rerank import BestPairs, Matches
from gram.files import atomic_path

_SCHEMA = pa.schema(
    [
        ("score", pa.dictionary(pa.int32(), pa.string())),
        ("direction", pa.dictionary(pa.int32(), pa.string())),
        ("query", pa.int32()),
        ("candidate", pa.int32()),
        ("probability", pa.float32()),
    ]
)


def write_matches(found: Mapping[str, Matches], path: Path) -> None:
    """Write what was read for each re-ranked score, whole or not at all."""
    parts = [
        _rows(score, direction, getattr(matches, direction))
        for score, matches in found.items()
        for direction in Matches._fields
    ]
    with atomic_path(path) as temporary:
        pq.write_table(pa.concat_tables(parts).unify_dictionaries(), temporary)


def read_matches(path: Path) -> dict[str, Matches]:
    """Read what ``write_matches`` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not whole.
    """
    try:
        frame = pq.read_table(path, schema=_SCHEMA).to_pandas()
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path} is not a whole parquet file ({error}); delete it and read the pairs again"
        ) from error
    return {
        str(score): Matches(*(_best(rows[rows["direction"] == way]) for way in Matches._fields))
        for score, rows in frame.groupby("score", observed=True, sort=False)
    }


def _rows(score: str, direction: str, pairs: BestPairs) -> pa.Table:
    queries, keep = pairs.candidate_qk.shape
    count = queries * keep
    columns = {
        "score": pa.array([score] * count).dictionary_encode(),
        "direction": pa.array([direction] * count).dictionary_encode(),
        "query": np.repeat(np.arange(queries), keep),
        "candidate": pairs.candidate_qk.flatten().numpy(),
        "probability": pairs.probability_qk.flatten().float().numpy(),
    }
    return pa.table(columns, schema=_SCHEMA)


def _best(rows: Any) -> BestPairs:  # noqa: ANN401 - a frame of pandas
    queries = int(rows["query"].max()) + 1
    keep = len(rows) // queries

    def column(name: str, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(rows[name].to_numpy().copy()).to(dtype).reshape(queries, keep)

    return BestPairs(column("candidate", torch.int64), column("probability", torch.float32))
