"""The manifest of a data set's shards, and whether the shards are still what it says."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gram.data.tars import remedy
from gram.files import sha256_of

MANIFEST = "manifest.json"


class ShardFacts(NamedTuple):
    """What tells that a shard is the one that was packed.

    Attributes:
        shard: File name.
        samples: Clips in it.
        bytes: Its size.
        sha256: Digest of its content, 64 hexadecimal digits.
    """

    shard: str
    samples: int
    bytes: int
    sha256: str


class Finding(NamedTuple):
    """A shard, and what is wrong with it; None: nothing."""

    shard: Path
    problem: str | None


def read_manifest(folder: Path) -> list[ShardFacts]:
    """Read which shards a data set has.

    Raises:
        ValueError: If there is no manifest in the folder, or it is none.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"no {MANIFEST} in {folder}; give a folder of shards, such as results/shards/NAME, or "
            "run the workflow, which makes it"
        )
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["shards"]
        shards = [ShardFacts(*(entry[name] for name in ShardFacts._fields)) for entry in entries]
        if elsewhere := [one.shard for one in shards if Path(one.shard).name != one.shard]:
            raise ValueError(f"{elsewhere[0]} is not the name of a file")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a manifest of shards ({error!r}); delete it and run the workflow again"
        ) from error
    return shards


def check_sizes(folder: Path) -> None:
    """Check that all shards of a data set are there, with as many bytes as they were packed with.

    Raises:
        ValueError: If one is not; names the first and counts them.
    """
    findings = [size_of_shard(folder, facts) for facts in read_manifest(folder)]
    wrong = [finding for finding in findings if finding.problem is not None]
    if wrong:
        others = f" (and {len(wrong) - 1} others)" if len(wrong) > 1 else ""
        raise ValueError(f"the shard {wrong[0].shard} {wrong[0].problem}{others}; {remedy(folder)}")


def size_of_shard(folder: Path, facts: ShardFacts) -> Finding:
    """Compare a shard's size with the manifest, without reading it."""
    path = Path(folder) / facts.shard
    if not path.is_file():
        return Finding(path, "is not there")
    if (size := path.stat().st_size) != facts.bytes:
        return Finding(path, f"has {size} bytes, it had {facts.bytes} when it was packed")
    return Finding(path, None)


def content_of_shard(folder: Path, facts: ShardFacts) -> Finding:
    """Compare a shard's size and content with the manifest; reads it whole."""
    finding = size_of_shard(folder, facts)
    if finding.problem is None and sha256_of(finding.shard) != facts.sha256:
        return Finding(finding.shard, "has changed since it was packed, its SHA-256 is another one")
    return finding


def verify_shards(folder: Path) -> Iterator[Finding]:
    """Compare every shard of a data set with its manifest, one after the other; reads all.

    Raises:
        ValueError: If there is no manifest.
    """
    for facts in read_manifest(folder):
        yield content_of_shard(folder, facts)


def extra_shards(folder: Path) -> list[Path]:
    """Name the tars in a folder that its manifest does not have."""
    known = {facts.shard for facts in read_manifest(folder)}
    return sorted(path for path in Path(folder).glob("*.tar") if path.name not in known)


def chunk_index(shard: Path) -> Path:
    """Give the index of the chunk that a shard belongs to: ``0003-001.tar`` to ``0003.parquet``."""
    return shard.with_name(f"{shard.stem.rpartition('-')[0]}.parquet")


def discard(shards: Sequence[Path]) -> list[Path]:
    """Remove shards with the indexes that lead to them, so that the workflow packs them again.

    Returns:
        The files that were removed.
    """
    removed = []
    for shard in shards:
        folder = shard.parent
        for path in (folder / MANIFEST, folder / "index.parquet", chunk_index(shard), shard):
            if path.is_file():
                path.unlink()
                removed.append(path)
    return removed
