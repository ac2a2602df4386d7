"""Archives, unpacked so that nothing leaves the folder, nothing is a link, and nothing explodes."""

import errno
import gzip
import logging
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tarfile import BLOCKSIZE, HeaderError, ReadError
from typing import IO, Self

from gram.data.status import Status
from gram.fetch.errors import FetchError
from gram.files import atomic_path

log = logging.getLogger(__name__)

MAX_GROWTH = 100
"""Largest size of what an archive holds, as a multiple of its own; text shrinks to a tenth."""

LEAST_LIMIT_BYTES = 64 * 2**20
"""What a small archive may hold whatever its own size."""

MAX_MEMBERS = 2_000_000

PIECE_BYTES = 2**20

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
)

_BAD_NAME = {
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.EILSEQ,
}


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What came out of an archive.

    Attributes:
        files: Names of the files, below the folder, in the order of the archive.
        written: How many of them are new; the others were there with the same content.
        left_out: Members that were not wanted.
    """

    files: tuple[str, ...]
    written: int
    left_out: int


@dataclass(frozen=True, kw_only=True)
class _Member:
    name: str
    size_bytes: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, *, wanted: Callable[[str], str | None]) -> Unpacked:
    """Unpack an archive; a file that is there with the same content is left as it is.

    Args:
        archive: A zip, tar or gzipped tar.
        folder: Where its files go.
        wanted: Gives, for the path of a member, the path below ``folder`` that it gets; None
            leaves it out.

    Raises:
        FetchError: If the archive is damaged, if a member would leave the folder or is no plain
            file, if all together are larger than an honest archive holds, or if another file has
            the place of one.
        DiskFullError: If the disk is full.
    """
    limit = max(LEAST_LIMIT_BYTES, MAX_GROWTH * archive.stat().st_size)
    files: dict[str, None] = {}
    new: list[Path] = []
    total = left_out = 0
    with _damage_explained(archive), _removed_on_error(new):
        for number, member in enumerate(_members(archive)):
            total += member.size_bytes
            if total > limit or number >= MAX_MEMBERS:
                raise _refused(
                    archive,
                    f"would unpack to more than {limit:,} bytes or {MAX_MEMBERS:,} files, far "
                    "more than an honest archive of its size",
                )
            place = wanted(_safe_name(archive, member.name))
            if place is None:
                left_out += 1
                continue
            path = folder / _safe_name(archive, place)
            with _bad_name_explained(archive, member.name, folder):
                is_new = _write(archive, member, path)
            if is_new:
                new.append(path)
            files[place] = None
    log.info("%s: %d files (%d new), %d left out", archive.name, len(files), len(new), left_out)
    return Unpacked(files=tuple(files), written=len(new), left_out=left_out)


def _members(archive: Path) -> Iterator[_Member]:
    """Give the plain files of an archive; folders are left out, anything else is an error."""
    if archive.name.lower().endswith(".zip"):
        yield from _zip_members(archive)
    else:
        yield from _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                continue
            if kind not in {0, stat.S_IFREG}:
                raise _refused(archive, f"holds {info.filename!r}, a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, f"holds {info.filename!r}, which asks for a password")

            def opened(info: zipfile.ZipInfo = info) -> IO[bytes]:
                return file.open(info)

            yield _Member(name=info.filename, size_bytes=info.file_size, open=opened)


def _tar_members(archive: Path) -> Iterator[_Member]:
    is_packed = archive.name.lower().endswith("gz")
    with (
        gzip.open(archive) if is_packed else archive.open("rb") as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as file,
    ):
        for info in file:
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise _refused(archive, f"holds {info.name!r}, a link or a device")

            def opened(info: tarfile.TarInfo = info) -> IO[bytes]:
                content = file.extractfile(info)
                assert content is not None  # noqa: S101 - it is a plain file
                return content

            yield _Member(name=info.name, size_bytes=info.size, open=opened)
        for _ in range(LEAST_LIMIT_BYTES // PIECE_BYTES):  # at its end stands its checksum
            if not stream.read(PIECE_BYTES):
                break


class _Header(tarfile.TarInfo):
    """A header of a tar that ends by two blocks of zeros alone; tarfile also takes any other end.

    An archive that was cut between two members, or has a damaged header, would lose files silently.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Make a header of a block.

        Raises:
            ReadError: If it is none, nor a block of zeros.
        """
        try:
            return super().frombuf(buf, encoding, errors)
        except HeaderError as error:
            if len(buf) < BLOCKSIZE:
                raise ReadError("it was cut: no two blocks of zeros end it") from error
            if any(buf):
                raise ReadError(f"a header cannot be read: {error}") from error
            raise

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read the next header.

        Raises:
            ReadError: If there is none although the archive does not end here.
        """
        try:
            return super().fromtarfile(tarfile)
        except HeaderError:
            if tarfile.fileobj.read(BLOCKSIZE) != bytes(BLOCKSIZE):
                raise ReadError("it was cut: one block of zeros ends it, and not two") from None
            raise


def _safe_name(archive: Path, name: str) -> str:
    """Give a member's path below the folder, without its empty parts.

    Raises:
        FetchError: If it is not below the folder on every system.
    """
    path = PurePosixPath(name)
    is_bad = path.is_absolute() or ".." in path.parts or not path.parts
    if is_bad or set(name) & {"\\", "\0", ":"} - ({":"} if name[1:2] != ":" else set()):
        raise _refused(archive, f"holds {name!r}, which would leave its folder")
    return str(path)


def _write(archive: Path, member: _Member, path: Path) -> bool:
    """Write a member, unless it is there; tell whether it is new."""
    if path.exists() or path.is_symlink():
        with member.open() as content:
            if (
                path.is_file()
                and not path.is_symlink()
                and _is_same(content, path, member.size_bytes)
            ):
                return False
        raise FetchError(
            f"{path} is there with other content than {member.name!r} of {archive.name}; move it "
            "away, and start again",
            status=Status.UNREADABLE,
        )
    with member.open() as content, atomic_path(path) as temporary, temporary.open("wb") as file:
        size = 0
        while piece := content.read(PIECE_BYTES):
            size += len(piece)
            if size > member.size_bytes:
                break
            file.write(piece)
        if size != member.size_bytes:
            raise _refused(archive, f"holds {member.name!r} of another size than it says")
    return True


def _is_same(content: IO[bytes], path: Path, size: int) -> bool:
    """Compare a member with a file; both are read to the end only while they agree."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        while piece := content.read(PIECE_BYTES):
            if file.read(len(piece)) != piece:
                return False
        return not file.read(1)


def _refused(archive: Path, why: str) -> FetchError:
    return FetchError(
        f"{archive} {why}; do not unpack it by other means either, and look for another copy",
        status=Status.UNREADABLE,
    )


@contextmanager
def _bad_name_explained(archive: Path, name: str, folder: Path) -> Iterator[None]:
    """Tell a name that no file can have here from a failure of the disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in _BAD_NAME:
            raise
        shown = name if len(name) <= 100 else f"{name[:100]}..."
        raise FetchError(
            f"{archive} holds {shown!r}, which cannot be written below {folder} "
            f"({error.strerror}): the name is too long, or a file is where it needs a folder; "
            "unpack it elsewhere, rename it, and correct what names it",
            status=Status.UNREADABLE,
        ) from error


@contextmanager
def _removed_on_error(paths: list[Path]) -> Iterator[None]:
    """Take away what a damaged archive gave so far."""
    try:
        yield
    except Exception:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


@contextmanager
def _damage_explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except FetchError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        raise FetchError(
            f"{archive} is damaged ({type(error).__name__}: {error}); delete it, and start again",
            status=Status.UNREADABLE,
        ) from error
