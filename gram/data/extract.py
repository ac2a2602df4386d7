"""Usable clips of a chunk -> one tar of frames and sound, decoded once for all runs."""

import itertools
import json
import logging
import tarfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from gram.config import ExtractionConfig
from gram.data.decode import Decoded, decode_clip
from gram.data.decode_command import ClipSource
from gram.data.ffmpeg import ffmpeg_version, find_ffmpeg
from gram.data.status import DecidingStage, Medium, Status
from gram.data.tables import EXTRACTION, Row, printable, read_rows, write_rows
from gram.data.tars import add_member, open_archive
from gram.files import atomic_path
from gram.progress import track

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

FACTS = (
    "duration_seconds", "container", "video_codec", "width", "height", "frame_rate",
    "audio_codec", "sample_rate_hz", "channels",
)  # fmt: skip
"""What the record of a clip says of its media file."""

MEASURED = (
    "bins_hit", "decoded_frames", "black_share", "audio_seconds", "loudness_dbfs", "silent_share",
    "decode_errors",
)  # fmt: skip
"""What is measured of a clip: columns of the table, attributes of ``Decoded``."""


def extract_chunk(
    settings: ExtractionConfig, *, probed: Path, archive: Path, table: Path, workers: int
) -> None:
    """Decode the usable clips of one chunk.

    The tar has, for each clip that could be decoded and in the order of the table, the members
    ``<key>.jpgs`` (the frames' JPEGs one behind the other, if it has some), ``<key>.flac`` (if it
    has sound) and ``<key>.json`` (clip id, bytes and time of each frame, facts). The same input
    gives the same bytes with one version of ffmpeg.

    Args:
        settings: What is kept.
        probed: The probe table of the chunk.
        archive: Tar to write.
        table: Parquet file with the columns of ``gram.data.tables.EXTRACTION``: one row a row of
            the probe table, with the state after extraction.
        workers: Number of ffmpeg processes at a time, each on one core.

    Raises:
        DiskFullError: If a disk is full.
        ValueError: If there is no ffmpeg, or ``GRAM_FFMPEG`` names no program.
    """
    rows = read_rows(probed)
    version = ffmpeg_version()
    usable = [row for row in rows if row["status"] == Status.OK]
    decode = partial(_decode_row, settings=settings, program=find_ffmpeg())
    label = f"extracting {archive.parent.name} {archive.stem}"
    with atomic_path(archive) as temporary, open_archive(temporary) as tar:
        decoded = _in_order(decode, usable, workers=workers)
        decoded = track(decoded, total=len(usable), label=label, unit="clips")
        for row, clip in zip(usable, decoded, strict=True):
            row["ffmpeg_version"] = version
            _update(row, clip)
            if clip.status is Status.OK:
                _add_clip(tar, row, clip)
    write_rows(table, rows, schema=EXTRACTION)
    _log_counts(rows)


def _log_counts(rows: Sequence[Row]) -> None:
    usable = [row for row in rows if row["status"] == Status.OK]
    counts = Counter(f"{row['status']} ({row['stage']})" for row in rows if row["stage"])
    log.info(
        "%d of %d clips extracted, %d with frames, %d with sound%s",
        len(usable),
        len(rows),
        sum(row["has_video"] for row in usable),
        sum(row["has_audio"] for row in usable),
        "".join(f", {count} {state}" for state, count in sorted(counts.items())),
    )
    log.info(
        "of those, %d are silent, %d are black throughout, %d were kept though damaged",
        sum(row["silent_share"] == 1 for row in usable),
        sum(row["black_share"] == 1 for row in usable),
        sum(row["decode_errors"] > 0 for row in usable),
    )
    for row in rows:
        if row["stage"] == DecidingStage.EXTRACT:
            log.info("clip %r is set aside as %s: %s", row["clip_id"], row["status"], row["reason"])


def _decode_row(row: Row, *, settings: ExtractionConfig, program: Path) -> Decoded:
    source = ClipSource(
        media=Path(row["media"]),
        video_stream=row["video_stream"],
        audio_stream=row["audio_stream"],
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        duration_seconds=row["duration_seconds"],
        picture_format=row["container"] if row["medium"] == Medium.PICTURE else None,
    )
    return decode_clip(source, settings, program=program)


def _update(row: Row, clip: Decoded) -> None:
    """Write into a clip's row what became of it."""
    row["status"], row["reason"] = clip.status, printable(clip.reason) if clip.reason else None
    row["stage"] = None if clip.status is Status.OK else DecidingStage.EXTRACT
    if clip.status is Status.OK:
        row["has_video"] = bool(clip.jpegs)
        row["has_audio"] = clip.flac is not None  # a track may be there and hold nothing
        row["frames"] = len(clip.jpegs)
        row |= {name: getattr(clip, name) for name in MEASURED}


def _in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[Result]:
    """Apply a function in threads and give the results in order, few of them waiting.

    Threads are enough: the work is done by ffmpeg, and by encoders that let other threads run.
    ``Executor.map`` would hold all results that come before a slow one is done.
    """
    with ThreadPoolExecutor(max_workers=workers) as threads:
        waiting: deque[Future[Result]] = deque()
        todo = iter(items)
        try:
            for item in itertools.islice(todo, 2 * workers):
                waiting.append(threads.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
                for item in itertools.islice(todo, 1):
                    waiting.append(threads.submit(function, item))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


# --- the tar ---------------------------------------------------------------------------------


def _add_clip(tar: tarfile.TarFile, row: Row, clip: Decoded) -> None:
    record = {
        "clip_id": row["clip_id"],
        "jpgs_sizes": [len(jpeg) for jpeg in clip.jpegs],
        "times": [round(time, 6) for time in clip.times],
        "audio_seconds": clip.audio_seconds,
        "media": {name: row[name] for name in FACTS},
    }
    members = {"jpgs": b"".join(clip.jpegs) or None, "flac": clip.flac}
    members["json"] = json.dumps(record, ensure_ascii=False, sort_keys=True).encode()
    for suffix, content in members.items():
        if content is not None:
            add_member(tar, f"{row['key']}.{suffix}", content)
