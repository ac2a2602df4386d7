"""Which media files a folder holds, and what tells that they changed.

Rules call these functions at every start of Snakemake, so this module imports the standard
library only and opens no media file.
"""

import hashlib
import os
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gram.data.listing import Listing, list_folder

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes of still pictures, in lower case."""

SUFFIXES = PICTURE_SUFFIXES | frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "asf", "avi", "f4v", "flv", "gif", "m2ts", "m4v", "mkv", "mov"),
        *("mp4", "mpeg", "mpg", "mts", "ogv", "ts", "vob", "webm", "wmv"),
        *("aac", "aif", "aiff", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav", "wma"),
    )
)
"""Suffixes of media files, in lower case: films, sounds, pictures. What a file holds is decided by
its content. A file without any suffix counts as one, too."""

DEPTH_SUFFIX = ".depth.npy"

REMEDY = (
    "put the files there, or correct datasets.<name>.media; where the workflow generated them, "
    "delete results/generated/<name> to make them anew"
)
"""What to do where there are no media files."""

UNCHANGED = hashlib.sha256().hexdigest()
"""Digest of a chunk in which no file counts."""


@dataclass(frozen=True)
class MediaFolder:
    """The media files of a folder and all its subfolders.

    Attributes:
        folder: The folder.
        by_stem: Their paths, relative to it, by their stem: the whole name without the suffix,
            upper and lower case kept apart. More than one where files share a stem: sorted.
        subfolders: Paths of its subfolders, relative to it.
        unreadable: Subfolders that could not be read, and why.
    """

    folder: Path
    by_stem: Mapping[str, tuple[str, ...]]
    subfolders: tuple[str, ...]
    unreadable: Mapping[str, str]

    def named(self, source_id: str) -> tuple[Path, ...]:
        """Give the files that have an id as their stem; links to one and the same count once."""
        paths = [self.folder / name for name in self.by_stem.get(source_id, ())]
        if len(paths) < 2:
            return tuple(paths)
        return tuple({_identity(path): path for path in reversed(paths)}.values())[::-1]

    def folder_named(self, source_id: str) -> Path | None:
        """Give a subfolder that is named as a media file of an id would be."""
        names = (name for name in self.subfolders if without_suffix(_last(name)) == source_id)
        return next((self.folder / name for name in names), None)

    def near(self, source_id: str) -> Path | None:
        """Give a file that someone may have meant by an id that is no stem.

        Its name is the id with its suffix, or differs in upper and lower case or in the form of
        its Unicode characters alone.
        """
        stem = without_suffix(source_id)
        if stem is None or stem not in self.by_stem:
            stem = self._by_folded.get(_folded(source_id))
        return None if stem is None else self.folder / self.by_stem[stem][0]

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {_folded(stem): stem for stem in self.by_stem}


def chunk_of(source_id: str, chunks: int) -> int:
    """Give the chunk, from 0 to ``chunks - 1``, that a media file and its clips belong to.

    It depends on the name alone: other clips that come or go move none.

    Example:
        >>> chunk_of("video7020", 4)
        3
    """
    return zlib.crc32(source_id.encode("utf-8", "surrogateescape")) % chunks


def list_media(folder: Path, *, memory: Path | None = None) -> MediaFolder:
    """Find the media files of a folder and all its subfolders.

    Args:
        folder: Where to look. Links are followed, each folder is read once; hidden files and
            folders are left out.
        memory: File in which the names are remembered, see ``gram.data.listing``.

    Raises:
        ValueError: If the folder is absent, cannot be read or holds no media file.
    """
    found = find_media(folder, memory=memory)
    if not found.by_stem:
        raise ValueError(
            f"no media file in {folder}: found {_entries_of(folder)}, and looked in all subfolders "
            f"for names that end in {' '.join(sorted(SUFFIXES))} or have no suffix; {REMEDY}"
        )
    return found


def find_media(folder: Path, *, memory: Path | None = None) -> MediaFolder:
    """Find the media files of a folder as ``list_media`` does, be there any or none.

    Args:
        folder: Where to look.
        memory: File in which the names are remembered, see ``gram.data.listing``.

    Raises:
        ValueError: If the folder is absent or cannot be read.
    """
    listing = _list(folder, memory)
    found: dict[str, list[str]] = {}
    for path in listing.files:
        stem, suffix = _split(_last(path))
        if not suffix or suffix.lower() in SUFFIXES:
            found.setdefault(stem, []).append(path)
    by_stem = {stem: tuple(sorted(paths)) for stem, paths in found.items()}
    return MediaFolder(folder, by_stem, listing.folders, listing.unreadable)


def without_suffix(name: str) -> str | None:
    """Take the suffix of a media file off a name; None if it has none.

    Example:
        >>> without_suffix("video7020.MP4"), without_suffix("clip.15")
        ('video7020', None)
    """
    stem, suffix = _split(name)
    return stem if suffix.lower() in SUFFIXES else None


def files_by_chunk(
    folder: Path, *, chunks: int, memory: Path | None = None
) -> tuple[tuple[str, ...], ...]:
    """Give the media and depth files of every chunk, as paths relative to the folder.

    All count, also those that no clip names and those that share a stem.

    Args:
        folder: Folder of the media files.
        chunks: Number of chunks.
        memory: File in which the names are remembered, see ``gram.data.listing``.

    Raises:
        ValueError: If the folder is absent or cannot be read.
    """
    found: list[list[str]] = [[] for _ in range(chunks)]
    for path in _list(folder, memory).files:
        name = _last(path)
        stem, suffix = _split(name)
        if name.endswith(DEPTH_SUFFIX):
            stem, suffix = name.removesuffix(DEPTH_SUFFIX), ""
        if not suffix or suffix.lower() in SUFFIXES:
            found[chunk_of(stem, chunks)].append(path)
    return tuple(map(tuple, found))


def digest_of_files(folder: Path, files: Iterable[str], *, changed_after_ns: int = 0) -> str:
    """Give a digest that changes when one of some files does, or another one joins them.

    Args:
        folder: Folder of the media files.
        files: Paths relative to it.
        changed_after_ns: Only files that changed later than this count, in ns since 1970.

    Returns:
        SHA-256 over path, size and time of change of each file, as 64 hexadecimal digits.
    """
    lines = []
    for path in files:
        state = _state_of(folder / path)
        if state is None or state.st_mtime_ns > changed_after_ns:
            size, time_ns = (state.st_size, state.st_mtime_ns) if state else (-1, -1)
            lines.append(b"%s\0%d\0%d\n" % (os.fsencode(path), size, time_ns))
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def _list(folder: Path, memory: Path | None) -> Listing:
    try:
        return list_folder(Path(folder), memory=memory)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"the media folder {folder} is not there (looked for {Path(folder).absolute()}); "
            f"{REMEDY}"
        ) from None
    except OSError as error:
        raise ValueError(
            f"the media folder {folder} cannot be read ({error.strerror}); give its files to this "
            "user, or correct datasets.<name>.media"
        ) from error


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _split(name: str) -> tuple[str, str]:
    """Split a name into stem and suffix, as ``pathlib`` does, but a hundred thousand times."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix}") if stem and suffix and dot else (name, "")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _state_of(path: Path) -> os.stat_result | None:
    """Give size and times of a file, of a link itself where it leads nowhere."""
    for follow in (True, False):
        try:
            return path.stat(follow_symlinks=follow)
        except OSError:
            continue
    return None


def _identity(path: Path) -> object:
    """Give what two names of one file have in common; the path itself where it cannot be read."""
    try:
        state = path.stat()
    except OSError:
        return path
    return state.st_dev, state.st_ino


def _entries_of(folder: Path) -> str:
    """Say what stands in a folder, for a message."""
    names = sorted(entry.name for entry in os.scandir(folder))
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names)} entries ({', '.join(names[:5])}{more})" if names else "nothing"
