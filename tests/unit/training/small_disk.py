"""A disk of a few hundred kilobytes that a test fills: a tmpfs that one process alone sees."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.training.forked import started

NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000
"""Of unshare(2): users, and mounted disks, of the calling process alone."""

NOT_ALLOWED = 77
"""Exit code of a process that gets no disk of its own."""


def on_small_disk(folder: Path, work: Callable[[], object], *, size: int) -> None:
    """Do work in a process in which a folder is a disk of so many bytes; its files go with it.

    The test is skipped where processes may not have disks of their own.
    """
    folder.mkdir(parents=True)

    def mounted() -> None:
        if not _mount(folder, size=size):
            os._exit(NOT_ALLOWED)
        work()

    process = started(mounted)
    process.join()
    if process.exitcode == NOT_ALLOWED:
        pytest.skip("this system lets no process mount a disk of its own (user namespaces are off)")
    assert process.exitcode == 0


def _mount(folder: Path, *, size: int) -> bool:
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    if libc.unshare(NEW_USER | NEW_MOUNTS) != 0:
        return False
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny", encoding="utf-8")
    (own / "uid_map").write_text(f"{user} {user} 1", encoding="utf-8")
    (own / "gid_map").write_text(f"{group} {group} 1", encoding="utf-8")
    options = f"size={size}".encode()
    return bool(libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options) == 0)
