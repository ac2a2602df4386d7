"""A full disk: told apart from broken input, with what is full and what to do."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIN_FREE_BYTES = 16 * 2**20
"""Below this a disk counts as full when a program that writes to it failed."""


class DiskFullError(OSError):
    """A file could not be written for want of space, or because the quota is used up."""

    def __init__(self, folder: Path) -> None:
        """Say which folder's disk is full, how much is free and what to do."""
        free_mib = shutil.disk_usage(folder).free / 2**20
        super().__init__(
            errno.ENOSPC,
            f"no space to write in {folder}: {free_mib:.0f} MiB are free on its disk, and your "
            "quota may be less; free some, or move the folder to a larger disk (for temporary "
            "files: set TMPDIR), and run again",
        )


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turn "no space" and "quota exceeded" inside the block into an error that says what to do.

    Args:
        folder: Where the block writes; it need not be there yet.

    Raises:
        DiskFullError: If the block raises an error of that kind, unless it is explained already.
    """
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(_existing(folder)) from error


def _existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    above = folder.absolute()
    return next(path for path in (above, *above.parents) if path.is_dir())
