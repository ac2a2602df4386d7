"""Where numbers come from: what became of the clips of a data set, read from its manifest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Clips that were set aside in one way.

    Attributes:
        status: What they are: ``truncated``, for example.
        stage: The stage that found it.
        clips: How many they are.
        first_reasons: The first of them in the order of the clips table, each with its reason.
    """

    status: str
    stage: str
    clips: int
    first_reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PackedShard:
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
        aside: Clips that were set aside, the most frequent way first.
        subtitles: Number of usable clips by where their subtitle is from, or why they have none.
        depth: Number of usable clips by what became of their depth.
        ffmpeg_versions: Versions of ffmpeg that the clips were decoded with.
        shards: The shards that hold the usable clips.
    """

    name: str
    aside: tuple[SetAside, ...]
    subtitles: Mapping[str, int]
    depth: Mapping[str, int]
    ffmpeg_versions: tuple[str, ...]
    shards: tuple[PackedShard, ...]


def describe_dataset(name: str, *, manifest: Path) -> DatasetFacts:
    """Read what became of the clips of a data set.

    Args:
        name: Name of the data set.
        manifest: Its shards manifest.

    Raises:
        ValueError: If the manifest is not one.
    """
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    try:
        return DatasetFacts(
            name=name,
            aside=tuple(_set_aside(state) for state in facts["unusable"]),
            subtitles=facts["subtitles"],
            depth=facts["depth"],
            ffmpeg_versions=tuple(facts["ffmpeg_versions"]),
            shards=tuple(_packed_shard(shard) for shard in facts["shards"]),
        )
    except KeyError as error:
        raise ValueError(
            f"{manifest} lacks {error}; delete it and run the workflow again"
        ) from error


def _set_aside(state: Mapping[str, Any]) -> SetAside:
    return SetAside(
        status=state["status"],
        stage=state["stage"],
        clips=state["clips"],
        first_reasons=tuple(state["first_reasons"]),
    )


def _packed_shard(shard: Mapping[str, Any]) -> PackedShard:
    return PackedShard(
        name=shard["shard"],
        samples=shard["samples"],
        bytes=shard["bytes"],
        sha256=shard["sha256"],
    )
