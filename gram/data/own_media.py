"""Media files of anybody, without annotations -> clips in shards, by the stages of the workflow."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from gram.config import ExtractionConfig, PackingConfig
from gram.data.depth import read_depth
from gram.data.extract import extract_chunk
from gram.data.probe import probe_files
from gram.data.shards import ChunkFiles, pack_chunk
from gram.data.subtitles import read_subtitles
from gram.data.tables import Row

SUBTITLE_SUFFIXES = (".vtt", ".srt", ".txt")
"""Of a subtitle file beside a media file, the first that is there."""

_TIMES = re.compile(r"^\s*[\d:.,]+\s*-->\s*[\d:.,]+.*$")
_TAG = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")


@dataclass(frozen=True, kw_only=True)
class PackedMedia:
    """Media files as clips in a shard.

    Attributes:
        index: One row a file, in order, usable or not: the columns of ``shard_index.INDEX``.
        folder: Folder of the shard.
    """

    index: pa.Table
    folder: Path


@contextmanager
def packed_media(
    paths: Sequence[Path], settings: ExtractionConfig, *, workers: int
) -> Iterator[PackedMedia]:
    """Probe, decode and pack media files for as long as the block runs.

    A subtitle file beside a media file (``a.vtt``, ``a.srt``, ``a.txt`` beside ``a.mp4``) gives its
    subtitle, ``a.depth.npy`` its depth maps. A file that cannot be used has a row that says why.

    Args:
        paths: Media files: films, sounds, pictures.
        settings: What is kept of them.
        workers: Number of reading processes, and of ffmpeg processes, at a time.

    Raises:
        DiskFullError: If the disk of the temporary folder is full.
        ValueError: If a subtitle file is not text in UTF-8.
    """
    with TemporaryDirectory(prefix="gram-") as name:
        folder = Path(name)
        probed, extracted = folder / "probed.parquet", folder / "extracted.tar"
        table, subtitles = folder / "extracted.parquet", folder / "subtitles.parquet"
        maps, map_table = folder / "depth.tar", folder / "depth.parquet"
        rows = [_row_of(number, path) for number, path in enumerate(paths)]
        probe_files(rows, paths, output=probed, workers=workers)
        extract_chunk(settings, probed=probed, archive=extracted, table=table, workers=workers)
        read_subtitles(probed, subtitles)
        read_depth(settings, probed=probed, archive=maps, table=map_table)
        index = folder / "shards" / "0000.parquet"
        files = ChunkFiles(
            extracted=extracted,
            extraction_table=table,
            subtitles=subtitles,
            depth=maps,
            depth_table=map_table,
        )
        pack_chunk(PackingConfig(), files, index)
        yield PackedMedia(index=pq.read_table(index), folder=index.parent)


def _row_of(number: int, path: Path) -> Row:
    """Give the row of a clips table for a whole file."""
    return {
        "key": f"{number:08d}",
        "clip_id": str(path),
        "source_id": path.stem,
        "split": "own",
        "start_seconds": None,
        "end_seconds": None,
        "captions": [""],
        "subtitle": subtitle_beside(path),
        "label": None,
    }


def subtitle_beside(path: Path) -> str | None:
    """Read the text of the subtitle file beside a media file; None where there is none.

    Raises:
        ValueError: If it is not text in UTF-8.
    """
    files = (path.with_suffix(suffix) for suffix in SUBTITLE_SUFFIXES)
    file = next((one for one in files if one.is_file() and one != path), None)
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not text in UTF-8 ({error.reason} at byte {error.start}); convert it, or "
            "move it away from the media file"
        ) from error
    return text.strip() if file.suffix == ".txt" else spoken_text(text)


def spoken_text(subtitles: str) -> str:
    r"""Give the words of WebVTT or SubRip subtitles: without numbers, times, notes and marks.

    Example:
        >>> spoken_text("WEBVTT\n\n1\n00:01.000 --> 00:02.000\n<b>Good</b>\nmorning\n")
        'Good morning'
    """
    spoken: list[str] = []
    for block in re.split(r"\n[ \t]*\n", subtitles.replace("\r\n", "\n")):
        lines = block.splitlines()
        starts = [place for place, line in enumerate(lines) if _TIMES.match(line)]
        if starts:
            spoken += [_TAG.sub("", line).strip() for line in lines[starts[0] + 1 :]]
    return " ".join(line for line in spoken if line)
