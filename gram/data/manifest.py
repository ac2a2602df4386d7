"""The manifest of a data set's shards, and whether shards and indexes are still what it says."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gram.data.tars import remedy
from gram.files import LEASE_SUFFIX, sha256_of

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


class IndexFacts(NamedTuple):
    """What tells that an index, of a chunk or of all, is the one that was written.

    Attributes:
        file: File name.
        bytes: Its size.
        sha256: Digest of its content, 64 hexadecimal digits.
    """

    file: str
    bytes: int
    sha256: str


class Finding(NamedTuple):
    """A shard or an index, and what is wrong with it; None: nothing."""

    file: Path
    problem: str | None


class Manifest(NamedTuple):
    """Which files a data set has: its shards, and the indexes of all chunks and of all clips."""

    shards: list[ShardFacts]
    indexes: list[IndexFacts]

    @property
    def files(self) -> list[ShardFacts | IndexFacts]:
        """All of them; the first field of each is the file's name."""
        return [*self.shards, *self.indexes]


def facts_of_index(path: Path) -> IndexFacts:
    """Give the facts of an index, read whole."""
    return IndexFacts(path.name, path.stat().st_size, sha256_of(path))


def read_manifest(folder: Path) -> Manifest:
    """Read which shards and indexes a data set has.

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
        content = json.loads(path.read_text(encoding="utf-8"))
        shards = [ShardFacts(*_fields(one, ShardFacts._fields)) for one in content["shards"]]
        indexes = [IndexFacts(*_fields(one, IndexFacts._fields)) for one in content["indexes"]]
        found = Manifest(shards, indexes)
        if elsewhere := [one[0] for one in found.files if Path(one[0]).name != one[0]]:
            raise ValueError(f"{elsewhere[0]} is not the name of a file")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a manifest of shards ({error!r}); delete it and run the workflow again"
        ) from error
    return found


def _fields(entry: dict[str, Any], names: Sequence[str]) -> list[Any]:
    return [entry[name] for name in names]


def check_sizes(folder: Path) -> None:
    """Check that all shards of a data set are there, with as many bytes as they were packed with.

    Raises:
        ValueError: If one is not; names the first and counts them.
    """
    findings = [_compare_size(folder, facts) for facts in read_manifest(folder).shards]
    wrong = [finding for finding in findings if finding.problem is not None]
    if wrong:
        others = f" (and {len(wrong) - 1} others)" if len(wrong) > 1 else ""
        raise ValueError(f"the shard {wrong[0].file} {wrong[0].problem}{others}; {remedy(folder)}")


def _compare_size(folder: Path, facts: ShardFacts | IndexFacts) -> Finding:
    """Compare a file's size with the manifest, without reading it."""
    path = Path(folder) / facts[0]
    if not path.is_file():
        return Finding(path, "is not there")
    if (size := path.stat().st_size) != facts.bytes:
        return Finding(path, f"has {size} bytes, it had {facts.bytes} when it was packed")
    return Finding(path, None)


def compare(folder: Path, facts: ShardFacts | IndexFacts) -> Finding:
    """Compare the size and content of a shard or an index with its facts; reads it whole."""
    finding = _compare_size(folder, facts)
    if finding.problem is None and sha256_of(finding.file) != facts.sha256:
        return Finding(finding.file, "has changed since it was packed, its SHA-256 is another one")
    return finding


def verify(folder: Path) -> Iterator[Finding]:
    """Compare every shard and index of a data set with its manifest, one by one; reads all.

    Raises:
        ValueError: If there is no manifest.
    """
    for facts in read_manifest(folder).files:
        yield compare(folder, facts)


def extra_files(folder: Path) -> list[Path]:
    """Name whatever stands in a folder of shards and is not in its manifest.

    The manifest itself does not count, nor do the leases of jobs that work there.
    """
    known = {MANIFEST, *(facts[0] for facts in read_manifest(folder).files)}
    found = (path for path in Path(folder).iterdir() if path.name not in known)
    return sorted(path for path in found if not path.name.endswith(LEASE_SUFFIX))


def chunk_index(shard: Path) -> Path:
    """Give the index of the chunk that a shard belongs to: ``0003-001.tar`` to ``0003.parquet``."""
    return shard.with_name(f"{shard.stem.rpartition('-')[0]}.parquet")


def discard(files: Sequence[Path]) -> list[Path]:
    """Remove shards and indexes with what leads to them, so that the workflow makes them again.

    Returns:
        The files that were removed.
    """
    removed = []
    for file in files:
        folder = file.parent
        leading = [chunk_index(file)] if file.suffix == ".tar" else []
        for path in (folder / MANIFEST, folder / "index.parquet", *leading, file):
            if path.is_file():
                path.unlink()
                removed.append(path)
    return removed
