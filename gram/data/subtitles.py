"""Subtitles of a chunk's clips, from wherever they are known: today the annotations."""

import logging
from pathlib import Path

import pyarrow as pa

from gram.data.tables import Row, read_rows, write_rows

log = logging.getLogger(__name__)

SUBTITLES = pa.schema(
    [
        ("clip_id", pa.string()),
        ("subtitle", pa.string()),  # without blanks at its ends; null: none
        ("source", pa.string()),  # "annotation"; null: none
    ]
)
"""Columns of the table of subtitles."""


def read_subtitles(probed: Path, output: Path) -> None:
    """Write the subtitle of each clip of a chunk; a blank one counts as none.

    Args:
        probed: The probe table of the chunk.
        output: Parquet file with the columns of ``SUBTITLES``: one row a row of the probe table.
    """
    rows = [_subtitle_of(row) for row in read_rows(probed)]
    write_rows(output, rows, schema=SUBTITLES)
    log.info("%d of %d clips have a subtitle", sum(bool(row["source"]) for row in rows), len(rows))


def _subtitle_of(row: Row) -> Row:
    text = (row["subtitle"] or "").strip()
    return {
        "clip_id": row["clip_id"],
        "subtitle": text or None,
        "source": "annotation" if text else None,
    }
