"""Depth maps -> one tar of small gray JPEGs a chunk, here those that stand beside media files.

A depth file is ``<media stem>.depth.npy``: an array of any real number type whose maps are evenly
spaced over the media file's length; larger is nearer. A broken one costs the depth, not the clip.

Shape letters of this file: T maps of the file, H and W pixels; N time bins.
"""

import json
import logging
import tarfile
import tokenize
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray

from gram.config import PicturesConfig
from gram.data.media_files import DEPTH_SUFFIX
from gram.data.probe import Readers
from gram.data.status import Status
from gram.data.tables import Row, read_rows, write_rows
from gram.data.tars import add_member, open_archive
from gram.files import atomic_path
from gram.progress import track

log = logging.getLogger(__name__)

JPEG_QUALITY = 95
"""High: depth maps are smooth, so that they stay small, and steps in them would look like edges."""

DEPTH = pa.schema(
    [
        ("clip_id", pa.string()),
        ("status", pa.string()),  # ok, not_found, unreadable, no_video; null: clip not usable
        ("reason", pa.string()),  # null where status is ok or null
        ("maps", pa.int32()),  # kept
    ]
)
"""Columns of the table of depth."""

BROKEN = (OSError, ValueError, EOFError, OverflowError, SyntaxError, tokenize.TokenError)
"""What numpy raises on files that are no arrays."""


class Lacking(NamedTuple):
    """Why a clip has no depth; the status is None where the clip cannot be used at all."""

    status: Status | None
    reason: str | None


NOT_USABLE = Lacking(None, None)


@dataclass(frozen=True, kw_only=True)
class DepthMaps:
    """Depth maps of one clip.

    Attributes:
        jpegs: Gray JPEGs in order of time; all 0 if the clip has only one value.
        farthest: The value that 0 stands for: the clip's smallest, in the source's own unit.
        nearest: The value that 255 stands for: the clip's largest.
        origin: Where they are from: ``files``, or the name of a model.
    """

    jpegs: tuple[bytes, ...]
    farthest: float
    nearest: float
    origin: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """The part of a media file that a clip is, as shares of the file's length."""

    start: float = 0.0
    end: float = 1.0


def read_depth(settings: PicturesConfig, *, probed: Path, archive: Path, table: Path) -> None:
    """Read the depth maps of one chunk's clips.

    The same input gives the same bytes.

    Args:
        settings: Number of maps, and length of their shorter side.
        probed: The probe table of the chunk.
        archive: Tar to write, as ``write_depth`` does.
        table: Parquet file with the columns of ``DEPTH``: one row a row of the probe table.
    """
    rows = read_rows(probed)
    lengths = _lengths_of_files(rows)
    label = f"reading depth of {archive.parent.name} {archive.stem}"
    todo = track(rows, total=len(rows), label=label, unit="clips")
    maps = (_maps_of(row, settings, file_seconds=lengths.get(row["media"])) for row in todo)
    write_depth(rows, maps, archive=archive, table=table)


def write_depth(
    rows: Sequence[Row], maps: Iterable[DepthMaps | Lacking], *, archive: Path, table: Path
) -> None:
    """Write depth maps as the tar and the table that are packed.

    The tar has, for each clip with depth and in the order of the rows, the members
    ``<key>.depths`` (JPEGs one behind the other, 0..255, 255 is nearest) and ``<key>.json`` (clip
    id, bytes of each map, what 0 and 255 stand for, and where the maps are from).

    Args:
        rows: Rows of the probe table or of a later one.
        maps: For each row its maps, or why it has none.
        archive: Tar to write.
        table: Parquet file with the columns of ``DEPTH``.
    """
    with atomic_path(archive) as temporary, open_archive(temporary) as tar:
        found = [_add_depth(tar, row, one) for row, one in zip(rows, maps, strict=True)]
    write_rows(table, found, schema=DEPTH)
    for row in found:
        if row["status"] == Status.UNREADABLE:
            log.warning("clip %r goes without depth: %s", row["clip_id"], row["reason"])
    counts = Counter(row["status"] or "clip not usable" for row in found)
    log.info("depth: %s", ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))


def _add_depth(tar: tarfile.TarFile, row: Row, maps: DepthMaps | Lacking) -> Row:
    """Add one clip's maps to the tar and give its row of the table."""
    result: Row = {"clip_id": row["clip_id"]}
    if isinstance(maps, Lacking):
        return result | {"status": maps.status, "reason": maps.reason}
    record = {
        "clip_id": row["clip_id"],
        "depths_sizes": [len(jpeg) for jpeg in maps.jpegs],
        "depth_range": [maps.farthest, maps.nearest],
        "depth_origin": maps.origin,
    }
    add_member(tar, f"{row['key']}.depths", b"".join(maps.jpegs))
    content = json.dumps(record, ensure_ascii=False, sort_keys=True)
    add_member(tar, f"{row['key']}.json", content.encode())
    return result | {"status": Status.OK, "maps": len(maps.jpegs)}


def scaled_maps(maps: Sequence[NDArray[np.float64]], *, origin: str) -> DepthMaps:
    """Scale the maps of one clip to its own range, from its smallest to its largest value.

    Args:
        maps: In order of time, each of shape (H, W); larger is nearer.
        origin: Where they are from.

    Raises:
        ValueError: If a map holds values that are not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
        low = float(np.min([one.min() for one in maps]))
        high = float(np.max([one.max() for one in maps]))
        span = high - low
    if not np.isfinite(span):
        raise ValueError("it holds values that are not finite")
    scale = 255 / span if span > 0 else 0.0
    jpegs = tuple(_encode(((one - low) * scale).round().astype(np.uint8)) for one in maps)
    return DepthMaps(jpegs=jpegs, farthest=low, nearest=high, origin=origin)


# --- files beside the media -------------------------------------------------------------------


def _depth_path(row: Row) -> Path:
    media = Path(row["media"])
    return media.with_name(media.stem + DEPTH_SUFFIX)


def _lengths_of_files(rows: Sequence[Row]) -> dict[str, float | None]:
    """Read the lengths, in seconds, of files of which a clip with depth is a part."""
    paths = {
        row["media"]: Path(row["media"])
        for row in rows
        if row["status"] == Status.OK and _is_part(row) and _depth_path(row).exists()
    }
    with Readers(1) as readers:
        facts = list(readers.read_all(list(paths.values())))
    return {media: fact.file_seconds for media, fact in zip(paths, facts, strict=True)}


def _is_part(row: Row) -> bool:
    return row["start_seconds"] is not None or row["end_seconds"] is not None


def _maps_of(
    row: Row, settings: PicturesConfig, *, file_seconds: float | None
) -> DepthMaps | Lacking:
    """Read the maps of one clip."""
    if row["status"] != Status.OK:
        return NOT_USABLE
    path = _depth_path(row)
    if not path.exists():
        return Lacking(Status.NOT_FOUND, f"no {path.name} beside the media")
    try:
        return read_maps(path, settings, span=_span_of(row, file_seconds))
    except BROKEN as error:
        reason = f"{path.name} cannot be used: {error or type(error).__name__}"
        return Lacking(Status.UNREADABLE, reason)


def _span_of(row: Row, file_seconds: float | None) -> Span:
    if not _is_part(row):
        return Span()
    if file_seconds is None:
        raise ValueError("the clip is a part of its file, whose length cannot be read")
    start = row["start_seconds"] or 0.0
    return Span(start=start / file_seconds, end=(start + row["duration_seconds"]) / file_seconds)


def read_maps(path: Path, settings: PicturesConfig, *, span: Span) -> DepthMaps:
    """Read the maps of one clip.

    Args:
        path: A ``.npy`` file of shape (T, H, W), real numbers, larger is nearer. It is mapped into
            memory, so that only the maps that are kept are read.
        settings: Number of maps, and length of their shorter side.
        span: The clip's part of the file.

    Returns:
        The maps, fewer than asked for where the file has fewer.

    Raises:
        ValueError: If the file is no such array, or a map that is kept holds values that are not
            finite. See also ``BROKEN``.
    """
    with np.errstate(over="ignore"):  # a header that is nonsense is refused below, without noise
        maps_thw = np.lib.format.open_memmap(path, mode="r")  # never unpickles
    if maps_thw.dtype.kind not in "iuf":
        raise ValueError(f"it holds {maps_thw.dtype}, where whole or floating numbers are needed")
    if maps_thw.ndim != 3 or 0 in maps_thw.shape:
        raise ValueError(f"it has shape {maps_thw.shape}, where (maps, height, width) is needed")
    chosen = choose_maps(len(maps_thw), settings.frames_per_clip, span=span)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found when it is scaled
        small = [
            shrink(np.asarray(maps_thw[number], np.float64), short_side=settings.short_side)
            for number in chosen
        ]
    return scaled_maps(small, origin="files")


def choose_maps(num_maps: int, bins: int, *, span: Span) -> list[int]:
    """Choose the maps that lie at the centers of equal time bins of a clip, each once.

    Example:
        >>> choose_maps(8, 2, span=Span())
        [2, 6]
        >>> choose_maps(3, 32, span=Span())
        [0, 1, 2]
    """
    centers_n = (np.arange(bins) + 0.5) / bins
    shares_n = span.start + centers_n * (span.end - span.start)
    numbers_n = np.minimum(np.floor(shares_n * num_maps), num_maps - 1).astype(int)
    return sorted(set(numbers_n.tolist()))


def shrink(map_hw: NDArray[np.float64], *, short_side: int) -> NDArray[np.float64]:
    """Scale a map down to a shorter side of at most ``short_side``, by averages over areas."""
    height, width = map_hw.shape
    scale = short_side / min(height, width)
    if scale >= 1:
        return map_hw
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    return _area_weights(height, rows) @ map_hw @ _area_weights(width, columns).T


def _area_weights(old: int, new: int) -> NDArray[np.float64]:
    """Give the share of each of ``old`` pixels in each of ``new`` ones, shape (new, old)."""
    edges_n = np.arange(new + 1) * (old / new)
    starts, ends = edges_n[:-1, None], edges_n[1:, None]
    pixels = np.arange(old)[None]
    covered: NDArray[np.float64] = np.minimum(ends, pixels + 1) - np.maximum(starts, pixels)
    return covered.clip(min=0) / (old / new)


def _encode(map_hw: NDArray[np.uint8]) -> bytes:
    jpeg: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(map_hw[..., None]), JPEG_QUALITY, "GRAY", "Gray"
    )
    return jpeg
