"""Where numbers come from: what became of the clips of a data set, counted for a reader."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

MOST_REASONS = 5
"""Reasons that are told of each way in which clips were set aside, the most frequent first."""


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """Counts of the clips of one split: annotated, usable, and of those usable with a modality."""

    split: str
    clips: int
    usable: int
    audio: int
    subtitle: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Clips that were set aside in one way.

    Attributes:
        status: What they are: ``truncated``, for example.
        stage: The stage that found it.
        clips: How many they are.
        reasons: The most frequent reasons, with the number of clips of each.
        more_reasons: Number of further reasons.
    """

    status: str
    stage: str
    clips: int
    reasons: tuple[tuple[str, int], ...]
    more_reasons: int


@dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """One shard: its file name, samples, size in bytes and SHA-256."""

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What became of the clips of a data set.

    Attributes:
        name: Its name.
        splits: The counts of each split, in the order of the clips.
        aside: Clips that were set aside, the most frequent way first.
        depth: Number of usable clips by what became of their depth file.
        ffmpeg_versions: Versions of ffmpeg that the clips were decoded with.
        shards: The shards that hold the usable clips.
    """

    name: str
    splits: tuple[SplitFacts, ...]
    aside: tuple[SetAside, ...]
    depth: Mapping[str, int]
    ffmpeg_versions: tuple[str, ...]
    shards: tuple[ShardFacts, ...]


def describe_dataset(name: str, *, index: Path, manifest: Path) -> DatasetFacts:
    """Count what became of the clips of a data set.

    Args:
        name: Name of the data set.
        index: Its shards index: one row a clip, usable or not.
        manifest: Its shards manifest.

    Raises:
        ValueError: If the manifest is not one.
    """
    columns = ["split", "status", "stage", "reason", "has_audio", "has_subtitle", "has_depth"]
    clips = pq.read_table(index, columns=columns).to_pandas()
    of_splits = clips.groupby("split", sort=False, dropna=False)
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    try:
        return DatasetFacts(
            name=name,
            splits=tuple(_split_facts(str(split), rows) for split, rows in of_splits),
            aside=_set_aside(clips[clips["status"] != "ok"]),
            depth=facts["depth"],
            ffmpeg_versions=tuple(facts["ffmpeg_versions"]),
            shards=tuple(
                ShardFacts(
                    name=shard["shard"],
                    samples=shard["samples"],
                    bytes=shard["bytes"],
                    sha256=shard["sha256"],
                )
                for shard in facts["shards"]
            ),
        )
    except KeyError as error:
        raise ValueError(
            f"{manifest} lacks {error}; delete it and run the workflow again"
        ) from error


def _set_aside(clips: pd.DataFrame) -> tuple[SetAside, ...]:
    found = []
    for (status, stage), rows in clips.groupby(["status", "stage"], sort=True, dropna=False):
        reasons = Counter(sorted(str(reason) for reason in rows["reason"])).most_common()
        found.append(
            SetAside(
                status=str(status),
                stage=str(stage),
                clips=len(rows),
                reasons=tuple(reasons[:MOST_REASONS]),
                more_reasons=max(0, len(reasons) - MOST_REASONS),
            )
        )
    return tuple(sorted(found, key=lambda aside: -aside.clips))


def _split_facts(split: str, rows: pd.DataFrame) -> SplitFacts:
    usable = rows[rows["status"] == "ok"]

    def having(column: str) -> int:
        return int(usable[column].eq(other=True).sum())  # null counts as not there

    return SplitFacts(
        split=split,
        clips=len(rows),
        usable=len(usable),
        audio=having("has_audio"),
        subtitle=having("has_subtitle"),
        depth=having("has_depth"),
    )
