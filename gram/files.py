"""Files that are whole or absent: written under another name, flushed, renamed.

A full disk is told apart from other failures, with what is full and what to do.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEASE_SUFFIX = ".lease"
"""Suffix of the files by which jobs tell that they are making an output (``gram.lease``)."""

MIN_FREE_BYTES = 16 * 2**20
"""Below this a disk counts as full when a writer that does not say why has failed on it."""


class DiskFullError(OSError):
    """A file could not be written for want of space, or because the quota is used up."""

    def __init__(self, folder: Path) -> None:
        """Say which folder's disk is full, how much is free and what to do."""
        free_mib = shutil.disk_usage(folder).free / 2**20
        super().__init__(
            errno.ENOSPC,
            f"no space to write in {folder}: {free_mib:.0f} MiB are free on its disk, and your "
            "quota or the limit of a file's size (`ulimit -f`) may be less; free some, or move the "
            "folder to a larger disk (for temporary files: set TMPDIR), and run again",
        )


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turn a failure for want of space inside the block into an error that says what to do.

    Args:
        folder: Where the block writes; it need not be there yet.

    Raises:
        DiskFullError: If the block raises "no space", "quota exceeded" or "file too large", or,
            while next to nothing is free, an error that may stand for that. One that is explained
            already goes on as it is.
    """
    try:
        yield
    except (DiskFullError, ValueError):
        raise
    except Exception as error:
        existing = _existing(folder)
        if not _is_for_want_of_space(error, existing):
            raise
        raise DiskFullError(existing) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    The folder is made if it is absent. When the block raises, the temporary file is removed and
    ``path`` stays as it was. A killed process leaves at most the temporary file, which the next
    call for the same path replaces.

    Raises:
        DiskFullError: If the disk is full.
        FileNotFoundError: If the block did not write the temporary file.
    """
    path = Path(path)
    temporary = temporary_path(path)
    with full_disk_explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
    try:
        with full_disk_explained(path.parent):
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """Name the file that a killed writer of ``path`` may have left beside it."""
    return path.with_name(f".{path.name}.part")


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file's content as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_for_want_of_space(error: Exception, folder: Path) -> bool:
    number = error.errno if isinstance(error, OSError) else None
    if number is not None:
        return number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    # numpy, safetensors and torch raise errors of their own, which do not carry the number.
    return shutil.disk_usage(folder).free < MIN_FREE_BYTES


def _existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    above = folder.absolute()
    return next(path for path in (above, *above.parents) if path.is_dir())
