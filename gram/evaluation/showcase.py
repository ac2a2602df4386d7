"""What one run on one benchmark finds: queries with pictures of what was retrieved, and volumes.

Shape letters of this file: Q queries, N clips, K modalities, D embedding width.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.config import ReportConfig, ScoreName
from gram.data.tars import Member, read_member
from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.ranks import Places, rank_right
from gram.evaluation.scores import near_is, pairwise_score

VOLUME_QUERIES = 1000
"""Queries, evenly spaced, whose volumes with all clips are looked at."""

_COLUMNS = ["clip_id", "captions", "shard", "jpgs_offset", "jpgs_size", "jpgs_crc32", "jpgs_sizes"]

Row = Mapping[str, Any]
"""One row of the shards index: column name -> value."""


@dataclass(frozen=True, kw_only=True)
class RetrievedClip:
    """One clip that is shown for a query.

    Attributes:
        place: Its place in the ranking, 1 is nearest.
        clip_id: Its clip id.
        caption: Its first caption.
        picture: Its middle frame as a data URI; None for a clip without frames.
        score: Its score with the query.
        is_right: Whether it is the clip that the query describes.
    """

    place: int
    clip_id: str
    caption: str
    picture: str | None
    score: float
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class ShownQuery:
    """One query with the clips that are nearest to it.

    Attributes:
        text: The caption that was searched.
        rank: Place of the right clip: ``"3"``, or ``"3 to 5"`` where it ties with others.
        is_first: Whether the right clip has the first place, and alone.
        clips: The nearest clips; the right one at the end if it is not among them.
    """

    text: str
    rank: str
    is_first: bool
    clips: tuple[RetrievedClip, ...]


def spaced(count: int, *, total: int) -> NDArray[np.int64]:
    """Choose rows evenly spaced over all, first and last included; all if there are fewer.

    Example:
        >>> spaced(3, total=9).tolist()
        [0, 4, 8]
    """
    if count >= total:
        return np.arange(total)
    return np.linspace(0, total - 1, count).round().astype(np.int64)


def show_queries(
    embeddings: BenchmarkEmbeddings, *, score: ScoreName, settings: ReportConfig, index: Path
) -> tuple[ShownQuery, ...]:
    """Rank the clips for some queries, evenly spaced over all, whatever their rank.

    Args:
        embeddings: The embeddings of a run on a benchmark.
        score: The score that ranks.
        settings: How many queries, and how many clips each.
        index: The shards index of the benchmark's data set; pictures are read from its shards.

    Raises:
        ValueError: If a clip is not in the index, or its shard is absent, cut or damaged.
    """
    chosen = spaced(settings.queries, total=len(embeddings.queries))
    if not len(chosen):
        return ()
    scores_qn = _scores(embeddings, score=score, queries=chosen)
    group_q = embeddings.text_group_q[torch.from_numpy(chosen)]
    order_qn = scores_qn.argsort(dim=1, stable=True, descending=near_is(score) == "large")
    right_qn = embeddings.clip_group_n == group_q.unsqueeze(1)
    places = rank_right(scores_qn, right_qn, near_is=near_is(score))
    first_q = right_qn.gather(1, order_qn).byte().argmax(dim=1, keepdim=True)
    right_q = order_qn.gather(1, first_q).flatten()
    shown = [
        _shown_places(order, right=right, count=settings.retrieved)
        for order, right in zip(order_qn.tolist(), right_q.tolist(), strict=True)
    ]
    wanted = {embeddings.clip_ids[clip] for of_query in shown for clip in of_query.values()}
    clips = _read_clips(index, wanted=wanted)
    queries = []
    for i, of_query in enumerate(shown):
        retrieved = tuple(
            RetrievedClip(
                place=place,
                clip_id=embeddings.clip_ids[clip],
                score=float(scores_qn[i, clip]),
                is_right=bool(right_qn[i, clip]),
                **clips[embeddings.clip_ids[clip]],
            )
            for place, clip in of_query.items()
        )
        rank, is_first = _rank_text(places, i)
        text = embeddings.queries[chosen[i]]
        queries.append(ShownQuery(text=text, rank=rank, is_first=is_first, clips=retrieved))
    return tuple(queries)


def pair_volumes(
    embeddings: BenchmarkEmbeddings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the volumes of captions with their own clips, and with all other clips.

    Of more than ``VOLUME_QUERIES`` captions, so many are taken, evenly spaced.
    """
    chosen = spaced(VOLUME_QUERIES, total=len(embeddings.queries))
    volumes_qn = _scores(embeddings, score="volume", queries=chosen).double().numpy()
    group_q = embeddings.text_group_q.numpy()[chosen]
    is_right_qn = embeddings.clip_group_n.numpy() == group_q[:, None]
    return volumes_qn[is_right_qn], volumes_qn[~is_right_qn]


def _scores(
    embeddings: BenchmarkEmbeddings, *, score: ScoreName, queries: NDArray[np.int64]
) -> Tensor:
    return pairwise_score(
        score,
        embeddings.text_qd[torch.from_numpy(queries)],
        vectors_mkd=embeddings.vectors_nkd,
        present_mk=embeddings.present_nk,
        modalities=embeddings.modalities,
    )


def _shown_places(order: Sequence[int], *, right: int, count: int) -> dict[int, int]:
    """Map the places that are shown to gallery rows; the right clip is always among them."""
    shown = dict(enumerate(order[:count], start=1))
    if right not in shown.values():
        shown[order.index(right) + 1] = right
    return shown


def _rank_text(places: Places, query: int) -> tuple[str, bool]:
    best, worst = int(places.best_q[query]), int(places.worst_q[query])
    return (str(best) if best == worst else f"{best} to {worst}"), worst == 1


def _read_clips(index: Path, *, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Read caption and picture of some clips."""
    table = pq.read_table(index, columns=_COLUMNS, filters=[("clip_id", "in", sorted(wanted))])
    rows = {row["clip_id"]: row for row in table.to_pylist()}
    absent = sorted(wanted - set(rows))
    if absent:
        raise ValueError(
            f"{index} lacks {len(absent)} of the embedded clips, {absent[0]!r} first; "
            "embed the benchmark again"
        )
    return {
        clip_id: {
            "caption": (row["captions"] or [""])[0],
            "picture": _read_picture(row, folder=index.parent),
        }
        for clip_id, row in rows.items()
    }


def _read_picture(row: Row, *, folder: Path) -> str | None:
    """Read the middle frame of a clip from its shard, as a data URI."""
    if row["jpgs_offset"] is None:
        return None
    place = Member(row["jpgs_offset"], row["jpgs_size"], row["jpgs_crc32"])
    jpgs = read_member(folder / row["shard"], place, clip_id=row["clip_id"], kind="jpgs")
    sizes = row["jpgs_sizes"]
    middle = len(sizes) // 2
    start = sum(sizes[:middle])
    jpeg = base64.b64encode(jpgs[start : start + sizes[middle]]).decode("ascii")
    return f"data:image/jpeg;base64,{jpeg}"
