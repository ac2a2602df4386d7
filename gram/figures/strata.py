"""Figure: recall of short and long captions, and of short and long clips."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from gram.evaluation.intervals import intervals
from gram.evaluation.place_table import read_places
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import QueryPlaces, summarize_places
from gram.figures.style import INK, MARKERS, Words, color, new_figure, write_figure
from gram.jobs import StrataSettings

STRATA = 4
"""Strata of about equal numbers of queries, at most."""


def draw_strata(places: Path, *, index: Path, settings: StrataSettings, svg: Path) -> None:
    """Draw R@K from text to clip by the length of the caption and of the clip.

    Queries whose clip has no known length are left out of that part, and counted in the caption.

    Args:
        places: Places of all queries of a run on a benchmark.
        index: The shards index of its data set, with the length of each clip.
        settings: The score, and the cut-offs, of which the smallest is drawn.
        svg: The figure; its CSV has a row a stratum.

    Raises:
        ValueError: If the score has no places, or the queries are no captions.
    """
    score, k = settings.drawn_score, min(settings.evaluation.recall_at)
    found, rows = read_places(places, score=score, direction="text_to_item")
    texts, clip_ids = rows["text"].to_pylist(), rows["clip_id"].to_pylist()
    if None in clip_ids:
        raise ValueError(f"the queries of {places} are classes, which belong to no one clip")
    words_q = np.array([len(text.split()) for text in texts], np.float64)
    seconds = _seconds_of(index)
    seconds_q = np.array([seconds.get(clip_id, np.nan) for clip_id in clip_ids])
    parts = {"words of the caption": words_q, "seconds of the clip": seconds_q}
    resamples = settings.evaluation.resamples
    numbers = pd.DataFrame(
        [
            {"by": by, **row}
            for by, lengths_q in parts.items()
            for row in _strata(found, lengths_q, k=k, resamples=resamples)
        ]
    )
    with new_figure(height=3.6) as figure:
        axes = figure.subplots(1, len(parts), sharey=True)
        for number, (axis, by) in enumerate(zip(axes, parts, strict=True)):
            drawn = numbers[numbers["by"] == by]
            axis.errorbar(
                range(len(drawn)),
                drawn["percent"],
                yerr=[drawn["percent"] - drawn["low"], drawn["high"] - drawn["percent"]],
                fmt=MARKERS[number],
                color=color(number),
                ecolor=INK,
                elinewidth=1,
                markersize=7,
            )
            labels = [f"{label}\nn = {n:,}" for label, n in zip(*_columns(drawn), strict=True)]
            axis.set_xticks(range(len(drawn)), labels)
            axis.set_xlim(-0.6, max(len(drawn), 1) - 0.4)
            axis.set_ylim(0, 100)
            axis.grid(visible=False, axis="x")
            axis.set_xlabel(by)
        axes[0].set_ylabel(f"R@{k}, text to clip, %")
        unknown = int(np.isnan(seconds_q).sum())
        left_out = f" {unknown:,} queries whose clip has no known length stand left alone."
        caption = (
            f"Ranked by {score}, with 95 % intervals over clips. Each part has all queries, split "
            f"where their lengths have quartiles.{left_out if unknown else ''}"
        )
        title = "Recall by length of caption and clip"
        write_figure(figure, svg, words=Words(title, caption), numbers=numbers)


def _columns(drawn: pd.DataFrame) -> tuple[Sequence[str], Sequence[int]]:
    return drawn["label"].tolist(), drawn["queries"].tolist()


def _seconds_of(index: Path) -> dict[str, float]:
    """Give the length of each clip: of its piece of the media, or of all of it."""
    columns = ["clip_id", "start_seconds", "end_seconds", "duration_seconds"]
    frame = pq.read_table(index, columns=columns).to_pandas()
    start = frame["start_seconds"].fillna(0.0)
    seconds = (frame["end_seconds"] - start).fillna(frame["duration_seconds"] - start)
    return dict(zip(frame["clip_id"], seconds.astype(float), strict=True))


def _strata(
    found: QueryPlaces, lengths_q: NDArray[np.float64], *, k: int, resamples: int
) -> list[dict[str, object]]:
    """Split queries at the quartiles of a length, and give the recall of each stratum."""
    known = lengths_q[~np.isnan(lengths_q)]
    if not len(known):
        return []
    edges = np.unique(
        np.quantile(known, np.linspace(0, 1, STRATA + 1), method="closest_observation")
    )
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    rows = []
    for i in range(len(edges) - 1):
        low, high = edges[i], edges[i + 1]
        is_last = i == len(edges) - 2
        inside_q = (lengths_q >= low) & ((lengths_q <= high) if is_last else (lengths_q < high))
        if not inside_q.any():
            continue
        part = _of(found, torch.from_numpy(inside_q))
        name = f"R@{k}"
        between = intervals(part, recall_at=(k,), resamples=resamples)[name]
        shortest, longest = lengths_q[inside_q].min(), lengths_q[inside_q].max()
        rows.append(
            {
                "label": _range(shortest, longest),
                "shortest": shortest,
                "longest": longest,
                "queries": int(inside_q.sum()),
                "percent": summarize_places(part.places, recall_at=(k,))[name],
                "low": between[0],
                "high": between[1],
            }
        )
    return rows


def _range(low: float, high: float) -> str:
    first, last = f"{low:.3g}", f"{high:.3g}"
    return first if first == last else f"{first} to {last}"


def _of(found: QueryPlaces, kept_r: torch.Tensor) -> QueryPlaces:
    places = Places(found.places.best_q[kept_r], found.places.worst_q[kept_r])
    return replace(
        found, places=places, query_r=found.query_r[kept_r], cluster_r=found.cluster_r[kept_r]
    )
