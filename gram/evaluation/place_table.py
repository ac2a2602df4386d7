"""The places of all queries, as the parquet file beside the scores.

One row a score, direction and query: what was asked (clip id, or class; the text, if one was the
query), and on which places its right candidate may stand. A score that was fitted on halves has
several rows a query, one for each gallery that it was asked in.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import QueryPlaces, RetrievalPlaces
from gram.files import atomic_path

SCHEMA = pa.schema(
    [
        ("score", pa.dictionary(pa.int32(), pa.string())),
        ("direction", pa.dictionary(pa.int32(), pa.string())),
        ("query", pa.int64()),  # row among the queries, or among the clips
        ("cluster", pa.int64()),  # what is drawn as a whole: row of the clip, or of the class
        ("clip_id", pa.string()),  # of the clip that is asked for, or asks; null for a class
        ("text", pa.string()),  # of the query, where it is a text
        ("best", pa.int64()),  # place, 1 is nearest, if every tie goes to the right one
        ("worst", pa.int64()),  # place if none does
        ("candidates", pa.int64()),
    ]
)


def write_places(
    found: Mapping[str, RetrievalPlaces], embeddings: BenchmarkEmbeddings, path: Path
) -> None:
    """Write the places by each score, whole or not at all."""
    parts = [
        _rows(score, direction, getattr(places, direction), embeddings)
        for score, places in found.items()
        for direction in ("text_to_item", "item_to_text")
    ]
    with atomic_path(path) as temporary:
        pq.write_table(pa.concat_tables(parts).unify_dictionaries(), temporary)


def read_places(path: Path, *, score: str, direction: str) -> tuple[QueryPlaces, pa.Table]:
    """Read the places by one score in one direction, with their rows of the table.

    Raises:
        ValueError: If there is no such file, or it lacks the score.
    """
    if not path.is_file():
        raise ValueError(
            f"no places at {path}; run the workflow, which writes them with the scores"
        )
    table = pq.read_table(path, schema=SCHEMA)
    kept = pc.and_(
        pc.equal(table["score"].cast(pa.string()), score),
        pc.equal(table["direction"].cast(pa.string()), direction),
    )
    rows = table.filter(kept)
    if not len(rows):
        known = ", ".join(sorted(table["score"].cast(pa.string()).unique().to_pylist()))
        raise ValueError(f"{path} has no score {score!r}; it has {known}")

    def column(name: str) -> torch.Tensor:
        return torch.from_numpy(rows[name].to_numpy().copy())

    found = QueryPlaces(
        places=Places(column("best"), column("worst")),
        query_r=column("query"),
        cluster_r=column("cluster"),
        candidates=int(column("candidates").max()),
    )
    return found, rows


def read_pair(
    paths: tuple[Path, Path], *, scores: tuple[str, str], direction: str
) -> tuple[QueryPlaces, QueryPlaces]:
    """Read the places by two scores of the same queries, in one order.

    Raises:
        ValueError: If a file or score is not there, or the queries are others.
    """
    tables = [
        read_places(path, score=score, direction=direction)
        for path, score in zip(paths, scores, strict=True)
    ]
    (first, first_rows), (second, second_rows) = tables
    asked = ["query", "clip_id", "text"]
    if not first_rows.select(asked).equals(second_rows.select(asked)):
        raise ValueError(
            f"{paths[0]} by {scores[0]} ({len(first_rows)} queries) and {paths[1]} by {scores[1]} "
            f"({len(second_rows)}) were not asked the same queries; compare runs on one benchmark, "
            "both by scores that are fitted on halves, or neither"
        )
    return first, second


def _rows(
    score: str, direction: str, found: QueryPlaces, embeddings: BenchmarkEmbeddings
) -> pa.Table:
    queries, count = found.query_r.numpy(), len(found.query_r)
    clip_ids = np.array(embeddings.clip_ids, dtype=object)
    texts = (
        np.array(embeddings.queries, dtype=object)[queries] if direction == "text_to_item" else None
    )
    is_clip = embeddings.task == "retrieval" or direction == "item_to_text"
    columns = {
        "score": pa.array([score] * count).dictionary_encode(),
        "direction": pa.array([direction] * count).dictionary_encode(),
        "query": queries,
        "cluster": found.cluster_r.numpy(),
        "clip_id": clip_ids[found.cluster_r.numpy()] if is_clip else [None] * count,
        "text": texts if texts is not None else [None] * count,
        "best": found.places.best_q.numpy(),
        "worst": found.places.worst_q.numpy(),
        "candidates": np.full(count, found.candidates),
    }
    return pa.table(columns, schema=SCHEMA)
