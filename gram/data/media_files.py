"""Which media files a folder holds, and what tells that they changed.

Rules call these functions at every start of Snakemake, so this module imports the standard
library only and opens no media file.
"""

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "asf", "avi", "f4v", "flv", "gif", "m2ts", "m4v", "mkv", "mov"),
        *("mp4", "mpeg", "mpg", "mts", "ogv", "ts", "vob", "webm", "wmv"),
    )
)
"""Suffixes of media files, in lower case. A file without any suffix counts as one, too."""

DEPTH_SUFFIX = ".depth.npy"

REMEDY = (
    "put the files there, or correct datasets.<name>.media; where the workflow generated them, "
    "delete results/generated/<name> to make them anew"
)
"""What to do where there are no media files."""

UNCHANGED = hashlib.sha256().hexdigest()
"""Digest of a chunk in which no file counts."""


def chunk_of(source_id: str, chunks: int) -> int:
    """Give the chunk, from 0 to ``chunks - 1``, that a media file and its clips belong to.

    It depends on the name alone: other clips that come or go move none.

    Example:
        >>> chunk_of("video7020", 4)
        3
    """
    return zlib.crc32(source_id.encode("utf-8", "surrogateescape")) % chunks


def list_media(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Find the media files of a folder and all its subfolders.

    Args:
        folder: Where to look. Links are followed, each folder is read once; hidden files and
            folders are left out.

    Returns:
        Paths of the files by their stem: the whole name without the suffix, upper and lower
        case kept apart. Sorted by stem. More than one path where files share a stem.

    Raises:
        ValueError: If the folder is absent or holds no media file.
    """
    found = stems_of(folder)
    if not found:
        raise ValueError(
            f"no media file in {folder}: found {_entries_of(folder)}, and looked in all subfolders "
            f"for names that end in {' '.join(sorted(SUFFIXES))} or have no suffix; {REMEDY}"
        )
    return found


def stems_of(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Find the media files of a folder as ``list_media`` does, be there any or none.

    Raises:
        ValueError: If the folder is absent.
    """
    found: dict[str, list[Path]] = {}
    for path in _media_paths(folder):
        found.setdefault(_stem(path.name), []).append(path)
    return {stem: tuple(sorted(paths)) for stem, paths in sorted(found.items())}


def without_suffix(name: str) -> str | None:
    """Take the suffix of a media file off a name; None if it has none.

    Example:
        >>> without_suffix("video7020.MP4"), without_suffix("clip.15")
        ('video7020', None)
    """
    path = Path(name)
    return path.stem if path.suffix.lower() in SUFFIXES else None


def media_digests(
    folder: Path, *, chunks: int, changed_after_ns: Sequence[int] | None = None
) -> tuple[str, ...]:
    """Give, of every chunk, a digest that changes when one of its media or depth files does.

    Args:
        folder: Folder of the media files.
        chunks: Number of chunks.
        changed_after_ns: Of each chunk, the time in ns since 1970 after which a file must have
            changed to count; None: all files count.

    Returns:
        SHA-256 over path, size and time of change of each file, as 64 hexadecimal digits, one a
        chunk. All files count, also those that no clip names and those that share a stem.

    Raises:
        ValueError: If the folder is absent.
    """
    lines: list[list[bytes]] = [[] for _ in range(chunks)]
    for path in _paths(folder):
        if _is_media(path) or path.name.endswith(DEPTH_SUFFIX):
            state = path.stat() if path.exists() else path.lstat()
            chunk = chunk_of(_stem(path.name), chunks)
            if changed_after_ns is not None and state.st_mtime_ns <= changed_after_ns[chunk]:
                continue
            name = os.fsencode(path.relative_to(folder))
            line = b"%s\0%d\0%d\n" % (name, state.st_size, state.st_mtime_ns)
            lines[chunk].append(line)
    return tuple(hashlib.sha256(b"".join(sorted(of_chunk))).hexdigest() for of_chunk in lines)


def _media_paths(folder: Path) -> Iterator[Path]:
    return (path for path in _paths(folder) if _is_media(path))


def _is_media(path: Path) -> bool:
    suffix = path.suffix.lower()
    return not suffix or suffix in SUFFIXES


def _stem(name: str) -> str:
    return name.removesuffix(DEPTH_SUFFIX) if name.endswith(DEPTH_SUFFIX) else Path(name).stem


def _paths(folder: Path) -> Iterator[Path]:
    """Give the files of a folder and its subfolders, sorted within each folder.

    A link to nothing is given as well: it stands for a file that cannot be read.

    Raises:
        ValueError: If the folder is absent.
    """
    if not Path(folder).is_dir():
        raise ValueError(
            f"the media folder {folder} is not there (looked for {Path(folder).absolute()}); "
            f"{REMEDY}"
        )
    seen: set[tuple[int, int]] = set()
    waiting = [Path(folder)]
    while waiting:
        current = waiting.pop()
        state = current.stat()
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(current) as entries:
            visible = sorted(
                (entry for entry in entries if not entry.name.startswith(".")),
                key=lambda entry: entry.name,
            )
        for entry in visible:
            if entry.is_dir():
                waiting.append(Path(entry.path))
            elif entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):
                yield Path(entry.path)


def _entries_of(folder: Path) -> str:
    """Say what stands in a folder, for a message."""
    names = sorted(entry.name for entry in os.scandir(folder))
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names)} entries ({', '.join(names[:5])}{more})" if names else "nothing"
