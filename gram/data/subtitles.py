"""Subtitles of a chunk's clips: the table's columns, and those that the annotations have."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from gram.data.tables import Row, read_rows, write_rows

log = logging.getLogger(__name__)

SUBTITLES = pa.schema(
    [
        ("clip_id", pa.string()),
        ("subtitle", pa.string()),  # without blanks at its ends; null: none
        ("source", pa.string()),  # annotation or speech; null: none
        ("reason", pa.string()),  # why there is none; null where there is one
        ("language", pa.string()),  # code, as en; this and what follows: of clips that were heard
        ("mean_log_probability", pa.float64()),  # natural, over the tokens, 0 is certain
        ("no_speech_probability", pa.float64()),  # mean over windows of 30 s
        ("model", pa.string()),
    ]
)
"""Columns of a table of subtitles."""


def read_subtitles(probed: Path, output: Path) -> None:
    """Write the subtitle of each clip of a chunk; a blank one counts as none.

    Args:
        probed: The probe table of the chunk.
        output: Parquet file with the columns of ``SUBTITLES``: one row a row of the probe table.
    """
    rows = [annotated(row) for row in read_rows(probed)]
    write_rows(output, rows, schema=SUBTITLES)
    log_subtitles(rows)


def annotated(row: Row) -> Row:
    """Give the row of a clip by its annotation alone."""
    text = (row["subtitle"] or "").strip()
    if text:
        return {"clip_id": row["clip_id"], "subtitle": text, "source": "annotation"}
    reason = "not annotated" if row["subtitle"] is None else "annotated as blank"
    return {"clip_id": row["clip_id"], "reason": reason}


def log_subtitles(rows: Sequence[Row]) -> None:
    """Log how many clips have a subtitle, from where, and why others have none."""
    counts = Counter(row.get("source") or row["reason"] for row in rows)
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    number = sum(bool(row.get("source")) for row in rows)
    log.info("%d of %d clips have a subtitle (%s)", number, len(rows), told or "none")
