"""Small pictures and captions of clips, read from their shards."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import simplejpeg

from gram.data.tars import Member, read_member

QUALITY = 75
"""Of the small JPEGs, in percent: at this size nobody sees a difference to more."""

_COLUMNS = ["clip_id", "captions", "shard", "jpgs_offset", "jpgs_size", "jpgs_crc32", "jpgs_sizes"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What a page shows of a clip.

    Attributes:
        clip_id: Its clip id.
        caption: Its first caption; empty where it has none.
        jpeg: Its middle frame, small, as base64; None for a clip without frames.
    """

    clip_id: str
    caption: str
    jpeg: str | None


def read_clips(index: Path, wanted: Iterable[str], *, pixels: int) -> dict[str, Clip]:
    """Read captions and small pictures of some clips.

    Args:
        index: The shards index; pictures are read from the shards beside it.
        wanted: Clip ids.
        pixels: Least length of a picture's shorter side; a larger one is made smaller by eighths,
            as far as that allows.

    Raises:
        ValueError: If a clip is not in the index, or its shard is absent, cut or damaged.
    """
    ids = sorted(set(wanted))
    table = pq.read_table(index, columns=_COLUMNS, filters=[("clip_id", "in", ids)])
    rows = {row["clip_id"]: row for row in table.to_pylist()}
    absent = [clip_id for clip_id in ids if clip_id not in rows]
    if absent:
        raise ValueError(
            f"{index} lacks {len(absent)} of the embedded clips, {absent[0]!r} first; "
            "embed the benchmark again"
        )
    return {
        clip_id: Clip(
            clip_id=clip_id,
            caption=(row["captions"] or [""])[0],
            jpeg=_read_jpeg(row, folder=index.parent, pixels=pixels),
        )
        for clip_id, row in rows.items()
    }


def _read_jpeg(row: dict[str, Any], *, folder: Path, pixels: int) -> str | None:
    """Read the middle frame of a clip from its shard and make it small."""
    if row["jpgs_offset"] is None:
        return None
    place = Member(row["jpgs_offset"], row["jpgs_size"], row["jpgs_crc32"])
    jpgs = read_member(folder / row["shard"], place, clip_id=row["clip_id"], kind="jpgs")
    sizes = row["jpgs_sizes"]
    middle = len(sizes) // 2
    start = sum(sizes[:middle])
    return base64.b64encode(shrink(jpgs[start : start + sizes[middle]], pixels=pixels)).decode()


def shrink(jpeg: bytes, *, pixels: int) -> bytes:
    """Make a JPEG smaller, if its shorter side keeps so many pixels; else leave it as it is.

    The decoder scales by eighths, which needs no other picture of full size.
    """
    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    if min(height, width) <= pixels:
        return jpeg
    picture_hwc = simplejpeg.decode_jpeg(
        jpeg, "RGB", min_height=pixels, min_width=pixels, min_factor=1
    )
    small: bytes = simplejpeg.encode_jpeg(picture_hwc, QUALITY, "RGB", "420")
    return small
