"""Names of the files in a folder and all its subfolders, read once and remembered.

Reading the names of a large folder takes seconds, on a network disk minutes, and every job of a
data set needs them. They are kept in a file, folder by folder. A folder whose inode or times are
others than the remembered ones is read again; sizes and times of files are never remembered.
Rules call this at every start of Snakemake, so the module imports the standard library only.
"""

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gram.files import write_text

log = logging.getLogger(__name__)

SETTLED_NS = 2 * 10**9
"""A folder that changed so shortly before it was read is not remembered, in ns: another change
within the same tick of the disk's clock, at most 2 s long, would leave its times as they are."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds. Paths are relative to it, with slashes.

    Attributes:
        files: Paths of all that is no folder, links to nothing among them.
        folders: Paths of the subfolders.
        unreadable: Subfolders that could not be read, and why.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    unreadable: Mapping[str, str]


class _Names(NamedTuple):
    """What one folder holds, and what told its state when it was read."""

    inode: int
    modified_ns: int
    changed_ns: int  # time of the inode: also changes where a copying program sets the other back
    files: tuple[str, ...]
    folders: tuple[str, ...]

    def are_of(self, state: os.stat_result) -> bool:
        """Tell whether they are those of a folder in this state."""
        of_state = (state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
        return (self.inode, self.modified_ns, self.changed_ns) == of_state


def list_folder(folder: Path, *, memory: Path | None = None) -> Listing:
    """List a folder and all its subfolders.

    Links are followed, and each folder is read once, however many ways lead to it. What is hidden
    (its name begins with a dot) is left out.

    Args:
        folder: Where to look.
        memory: File in which the names are remembered. It is made if it is absent, and brought up
            to date by one process at a time; a disk that refuses that costs the memory only.

    Returns:
        Its files and subfolders, sorted within each folder.

    Raises:
        OSError: If the folder itself cannot be read.
    """
    remembered = _recall(memory, folder)
    current: dict[str, _Names] = {}
    unreadable: dict[str, str] = {}
    files, folders = [], []
    for name, names in _walk(folder, remembered, unreadable):
        files += [f"{name}{file}" for file in names.files]
        folders += [f"{name}{below}" for below in names.folders]
        if names.inode:
            current[name] = names
    if memory is not None and current != remembered:
        _remember(memory, folder, current)
    return Listing(files=tuple(files), folders=tuple(folders), unreadable=unreadable)


def _walk(
    folder: Path, remembered: Mapping[str, _Names], unreadable: dict[str, str]
) -> Iterator[tuple[str, _Names]]:
    """Give each folder's path, which is empty or ends in a slash, and what it holds."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        name = waiting.pop()
        try:
            state = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - many, so plain
            if (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            names = remembered.get(name)
            if names is None or not names.are_of(state):
                names = _read(folder / name, state)
        except OSError as error:
            if not name:
                raise
            unreadable[name.removesuffix("/")] = error.strerror or type(error).__name__
            continue
        waiting += [f"{name}{below}/" for below in reversed(names.folders)]
        yield name, names


def _read(folder: Path, state: os.stat_result) -> _Names:
    """Read the names in one folder; with inode 0 if they should not be remembered."""
    is_settled = max(state.st_mtime_ns, state.st_ctime_ns) + SETTLED_NS < time.time_ns()
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            kind = _kind_of(entry)
            (folders if kind == "folder" else files).append(entry.name)
            # What such a link leads to may turn up, a disk for example, and this folder's times
            # would not tell.
            is_settled = is_settled and kind != "link to nothing"
    inode = state.st_ino if is_settled else 0
    held = tuple(sorted(files)), tuple(sorted(folders))
    return _Names(inode, state.st_mtime_ns, state.st_ctime_ns, *held)


def _kind_of(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folder"
        return "link to nothing" if entry.is_symlink() and not entry.is_file() else "file"
    except OSError:  # a link that leads to itself, or where nobody may look
        return "link to nothing"


# --- the memory --------------------------------------------------------------------------------


def _recall(memory: Path | None, folder: Path) -> dict[str, _Names]:
    """Give what is remembered of a folder; nothing where the memory is absent or of another."""
    if memory is None:
        return {}
    try:
        content = json.loads(Path(memory).read_text(encoding="utf-8"))
        if content["folder"] != str(folder.absolute()):
            return {}
        return {
            name: _Names(inode, modified_ns, changed_ns, tuple(files), tuple(folders))
            for name, (inode, modified_ns, changed_ns, files, folders) in content["names"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.info("%s cannot be read (%s); all of %s is read anew", memory, error, folder)
        return {}


def _remember(memory: Path, folder: Path, names: Mapping[str, _Names]) -> None:
    """Write what is remembered of a folder, unless another process does so at the moment."""
    content = {"folder": str(folder.absolute()), "names": names}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        lock = memory.with_name(f".{memory.name}.lock")
        with lock.open("w") as held, contextlib.suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_text(memory, json.dumps(content))
    except OSError as error:
        log.info("the names in %s are not remembered: %s", folder, error)
