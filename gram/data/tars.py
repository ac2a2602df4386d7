"""Tar archives of clips: members named by key and kind, the same bytes for the same content."""

import io
import json
import os
import tarfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

MEMBERS = ("jpgs", "flac", "depths")
"""Kinds of members that an index locates: frames, sound, depth maps."""


def remedy(folder: Path) -> str:
    """Say what has damaged shards of a folder made again."""
    return f"run `gram shards verify {folder} --discard`, then the workflow again: it packs it anew"


class Member(NamedTuple):
    """Where a member's content stands in its archive.

    Attributes:
        offset: First byte of the content, counted from the archive's start.
        size: Bytes of the content.
        crc32: CRC-32 of the content.
    """

    offset: int
    size: int
    crc32: int


def open_archive(path: Path) -> tarfile.TarFile:
    """Open a new tar for writing, in the plainest form that all readers know."""
    return tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)


def describe_member(name: str, size: int) -> tarfile.TarInfo:
    """Describe a member without time and owner, so that the same content gives the same bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> Member:
    """Add a member without time and owner, and say where its content stands."""
    tar.addfile(describe_member(name, len(content)), io.BytesIO(content))
    padded = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return Member(tar.offset - padded, len(content), zlib.crc32(content))


def read_member(shard: Path, member: Member, *, clip_id: str, kind: str) -> bytes:
    """Read a member of a shard at its place, and compare it with its checksum.

    Args:
        shard: The shard. It is opened for this one read, so any number of threads may read.
        member: Where the content stands, by the index.
        clip_id: The clip that it belongs to, for messages.
        kind: What it is: ``jpgs``, for example.

    Raises:
        ValueError: If the shard is absent or cut, or holds something else there.
    """
    try:
        file = os.open(shard, os.O_RDONLY)
    except FileNotFoundError:
        raise ValueError(_damage(shard, clip_id, "is not there")) from None
    try:
        content = os.pread(file, member.size, member.offset)
    finally:
        os.close(file)
    if len(content) < member.size:
        what = f"is cut: its {kind} end after {len(content)} of {member.size} bytes"
        raise ValueError(_damage(shard, clip_id, what))
    if zlib.crc32(content) != member.crc32:
        what = f"is damaged or another one: its {kind} have another checksum"
        raise ValueError(_damage(shard, clip_id, what))
    return content


def _damage(shard: Path, clip_id: str, what: str) -> str:
    return f"clip {clip_id!r}: the shard {shard} {what}; {remedy(shard.parent)}"


class Archive:
    """A tar that is read by member name, in any order; a context."""

    def __init__(self, path: Path) -> None:
        """Open the tar and read the names of its members, not their contents.

        Raises:
            ValueError: If the file is no tar, or is cut inside a member.
        """
        self.path = path
        try:
            self._tar = tarfile.open(path)  # noqa: SIM115 - closed by __exit__
            self._members = {member.name: member for member in self._tar.getmembers()}
        except tarfile.TarError as error:
            raise ValueError(
                f"{path} is not a whole tar ({error}); delete it and run the workflow again"
            ) from error

    def __enter__(self) -> Self:
        """Give the archive."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the tar."""
        self._tar.close()

    def read(self, name: str) -> bytes | None:
        """Give the content of a member, or None if there is none of that name."""
        member = self._members.get(name)
        file = self._tar.extractfile(member) if member is not None else None
        return file.read() if file is not None else None

    def need(self, name: str) -> bytes:
        """Give the content of a member that must be there.

        Raises:
            ValueError: If it is not.
        """
        content = self.read(name)
        if content is None:
            raise ValueError(
                f"{self.path} lacks the member {name}, though its table says that it is there; "
                "delete both and run the workflow again"
            )
        return content

    def need_record(self, key: str, clip_id: str) -> dict[str, Any]:
        """Give the JSON record of a clip, once it is this clip's.

        Raises:
            ValueError: If there is none, or it is another clip's.
        """
        record: dict[str, Any] = json.loads(self.need(f"{key}.json"))
        if record["clip_id"] != clip_id:
            raise ValueError(
                f"{self.path} has the clip {record['clip_id']!r} as {key}, its table has "
                f"{clip_id!r}; delete both and run the workflow again"
            )
        return record
