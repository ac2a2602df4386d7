"""Tables of clips as parquet files: their columns, written and read.

One table grows along the way: the clips table, then what probing adds, then what extraction adds.
Rows are plain dictionaries; the schemas below are the one place that names columns and types.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gram.files import atomic_path

Row = dict[str, Any]
"""One row: column name -> value. None stands for "not known" or "not there"."""

CLIPS = pa.schema(
    [
        ("key", pa.string()),  # row number in the clips table, eight digits
        ("clip_id", pa.string()),
        ("source_id", pa.string()),  # name of the media file, without its suffix
        ("split", pa.string()),
        ("start_seconds", pa.float64()),  # null: from the file's start
        ("end_seconds", pa.float64()),  # null: to the file's end
        ("captions", pa.list_(pa.string())),
        ("subtitle", pa.string()),
        ("label", pa.string()),
    ]
)
"""Columns of the clips table."""

FETCH = pa.schema(
    [
        ("source_id", pa.string()),
        ("url", pa.string()),  # null: the id names no place on the web
        ("start_seconds", pa.float64()),  # in the video there; null: from its start
        ("end_seconds", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),  # null where status is ok
        ("tries", pa.int32()),  # starts of a job that asked for it
        ("media", pa.string()),  # name of the file in the media folder
        ("bytes", pa.int64()),
        ("checked_at", pa.string()),  # UTC
    ]
)
"""Columns of the table of what was fetched: one row a media file."""

PROBE = pa.schema(
    [
        *CLIPS,
        ("media", pa.string()),
        ("medium", pa.string()),  # see gram.data.status.Medium; null where no file can be used
        ("status", pa.string()),
        ("stage", pa.string()),  # null where status is ok
        ("reason", pa.string()),  # null where status is ok
        ("duration_seconds", pa.float64()),  # of the clip, not of its file; null: still picture
        ("container", pa.string()),
        ("video_codec", pa.string()),
        ("width", pa.int32()),  # as coded: before rotation and pixel shape
        ("height", pa.int32()),
        ("frame_rate", pa.float64()),  # average, in Hz, as announced
        ("picture_start_seconds", pa.float64()),  # from the file's start to the first frame
        ("has_video", pa.bool_()),
        ("has_audio", pa.bool_()),
        ("audio_codec", pa.string()),
        ("sample_rate_hz", pa.int32()),  # of the file; what is kept has 16,000
        ("channels", pa.int32()),
        ("video_stream", pa.int32()),  # number of the stream in the file; null: none
        ("audio_stream", pa.int32()),
    ]
)
"""Columns of the probe table."""

EXTRACTION = pa.schema(
    [
        *PROBE,
        ("frames", pa.int32()),  # kept; 0: sound alone
        ("bins_hit", pa.int32()),  # time bins that a frame was found for; few: it was cut
        ("decoded_frames", pa.int32()),  # all that the clip has; files announce wrong numbers
        ("black_share", pa.float64()),  # of the kept frames, 0 to 1; null: none
        ("audio_seconds", pa.float64()),
        ("loudness_dbfs", pa.float64()),  # RMS of the sound in dB, 0: full scale; null: no sound
        ("silent_share", pa.float64()),  # of the sound's tenths of a second, 0 to 1; null likewise
        ("decode_errors", pa.int32()),  # messages of ffmpeg about a clip that it decoded
        ("ffmpeg_version", pa.string()),
    ]
)
"""Columns of the extraction table. What is measured is null where the status is not ok; see
``gram.data.clip_statistics`` for what counts as black and as silent."""


def printable(text: str) -> str:
    r"""Write out what cannot stand in a table or a line of a log: ``"a\n"`` as ``"a\\n"``.

    File names hold any bytes but two, line breaks and what is not UTF-8 among them.
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], *, schema: pa.Schema) -> None:
    """Write a table, whole or not at all; the same rows give the same bytes.

    Args:
        path: Parquet file to write.
        rows: Rows; a column that a row lacks is null.
        schema: Columns to write; what a row holds besides is left out.
    """
    table = pa.Table.from_pylist(list(rows), schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def update_rows(path: Path, rows: Sequence[Mapping[str, Any]], *, schema: pa.Schema) -> bool:
    """Write a table unless the file holds it already, so that the file's time tells of a change.

    Args:
        path: Parquet file to write.
        rows: Rows; a column that a row lacks is null.
        schema: Columns to write.

    Returns:
        Whether it was written. A file that is damaged is.
    """
    if path.is_file() and _holds(path, pa.Table.from_pylist(list(rows), schema=schema)):
        return False
    write_rows(path, rows, schema=schema)
    return True


def _holds(path: Path, table: pa.Table) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            return bool(file.read().equals(table))
    except (pa.ArrowException, OSError):
        return False


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a table, in order."""
    with pq.ParquetFile(path) as file:
        rows: list[Row] = file.read().to_pylist()
    return rows
