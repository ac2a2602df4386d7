"""Samples -> tars of about equal size, the same bytes for the same samples."""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from gram.data.manifest import ShardFacts
from gram.data.tars import Member, describe_member
from gram.files import atomic_path, temporary_path

KEY = re.compile(r"[a-z0-9_-]+")

BUFFERED_BYTES = 2**20
"""Bytes that are gathered before they go to the disk."""


class Placed(NamedTuple):
    """Where the members of a sample stand: file name of its shard, places by kind."""

    shard: str
    members: dict[str, Member]


class ShardWriter:
    """Writes samples one behind the other; a context.

    The tars are named ``<name>-000.tar``, ``<name>-001.tar`` and so on. A new one is begun where
    a sample would make one larger than wanted; only a sample that is larger by itself stands in
    such a tar, alone. They appear when the block ends well, all at once, and take the place of
    those of that name that an earlier packing left; until then those stay as they are.
    """

    def __init__(self, folder: Path, *, name: str, target_bytes: int) -> None:
        """Open no file yet: without samples there is none.

        Args:
            folder: Folder of the tars.
            name: What their names begin with.
            target_bytes: Largest size of a tar.
        """
        self._folder, self._name, self._target_bytes = Path(folder), name, target_bytes
        self._files = ExitStack()
        self._open: _OpenShard | None = None
        self._finished: list[ShardFacts] = []
        self._last_key = ""

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the tars appear, or remove what was written if the block failed."""
        if error is None:
            self._finish_shard()
        elif self._open is not None:
            self._open.abandon()
        self._files.__exit__(kind, error, traceback)
        if error is None:
            self._remove_others()

    @property
    def facts(self) -> list[ShardFacts]:
        """Names, samples, sizes and digests of all tars, once the block has ended."""
        return list(self._finished)

    def add(self, key: str, contents: Mapping[str, bytes]) -> Placed:
        """Add a sample: its members, by kind, in their order.

        The keys are lower case letters, digits, ``-`` and ``_``, and follow each other in order:
        readers take members that stand together and share a key for a sample.

        Raises:
            ValueError: If a key is another, or does not come behind the one before.
        """
        if not KEY.fullmatch(key) or key <= self._last_key:
            raise ValueError(
                f"the key {key!r} follows {self._last_key!r}; keys of samples are lower case "
                "letters, digits, - and _, each behind the one before"
            )
        self._last_key = key
        needed = sum(_bytes_in_tar(len(content)) for content in contents.values())
        if self._open is not None and self._open.bytes_with(needed) > self._target_bytes:
            self._finish_shard()
        if self._open is None:
            self._open = self._begin_shard()
        return self._open.add(key, contents)

    def _remove_others(self) -> None:
        """Remove what an earlier packing left, whole or cut off, and this one does not have."""
        kept = {facts.shard for facts in self._finished}
        every = self._folder / f"{self._name}-*.tar"
        for pattern in (every.name, temporary_path(every).name):
            for path in self._folder.glob(pattern):
                if path.name not in kept:
                    path.unlink()

    def _begin_shard(self) -> "_OpenShard":
        shard = f"{self._name}-{len(self._finished):03d}.tar"
        temporary = self._files.enter_context(atomic_path(self._folder / shard))
        return _OpenShard(shard, temporary)

    def _finish_shard(self) -> None:
        if self._open is not None:
            self._finished.append(self._open.finish())
            self._open = None


class _OpenShard:
    """One tar that is being written, and hashed meanwhile, so that it need not be read again."""

    def __init__(self, shard: str, path: Path) -> None:
        self._shard, self._samples, self._bytes = shard, 0, 0
        self._file, self._digest = path.open("wb", buffering=BUFFERED_BYTES), hashlib.sha256()

    def bytes_with(self, more: int) -> int:
        """Give the size that the tar would have with so many bytes more, its end included."""
        return _filled_up(self._bytes + more + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)

    def add(self, key: str, contents: Mapping[str, bytes]) -> Placed:
        """Add the members of a sample."""
        self._samples += 1
        return Placed(
            self._shard,
            {kind: self._member(f"{key}.{kind}", content) for kind, content in contents.items()},
        )

    def finish(self) -> ShardFacts:
        """Write the end, and close the file."""
        self._write(bytes(self.bytes_with(0) - self._bytes))
        self._file.close()
        return ShardFacts(self._shard, self._samples, self._bytes, self._digest.hexdigest())

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _member(self, name: str, content: bytes) -> Member:
        self._write(describe_member(name, len(content)).tobuf(tarfile.USTAR_FORMAT))
        place = Member(self._bytes, len(content), zlib.crc32(content))
        self._write(content)
        self._write(bytes(_filled_up(self._bytes, tarfile.BLOCKSIZE) - self._bytes))
        return place

    def _write(self, content: bytes) -> None:
        self._digest.update(content)
        self._bytes += self._file.write(content)


def _bytes_in_tar(size: int) -> int:
    """Give the bytes that a member takes: its header, and its content in whole blocks."""
    return tarfile.BLOCKSIZE + _filled_up(size, tarfile.BLOCKSIZE)


def _filled_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
