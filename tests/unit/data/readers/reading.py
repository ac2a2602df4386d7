"""Ways to read annotations in tests: files that a test writes, and those of the data sets."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gram.data.annotations import SplitAccount, make_clips
from gram.data.tables import Row, read_rows

FOLDER = Path(
    os.environ.get("GRAM_ANNOTATIONS") or Path(__file__).parents[5] / "shared" / "annotations"
)
"""Annotations of the data sets, which are no part of the project."""

SAMPLES, UPSTREAM = FOLDER / "samples", FOLDER / "upstream"

needs_annotations = pytest.mark.skipif(
    not SAMPLES.is_dir() or not UPSTREAM.is_dir(),
    reason=f"no annotations in {FOLDER}; name their folder in GRAM_ANNOTATIONS",
)


def read(
    tmp_path: Path, name: str, *files: Path, split: str = "test"
) -> tuple[list[Row], SplitAccount]:
    """Read the files of one split; give the rows of the table and the account."""
    output = tmp_path / "clips.parquet"
    (account,) = make_clips([(split, file) for file in files], output, format_name=name)
    return read_rows(output), account


def texts(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Give the captions of each clip."""
    return {row["clip_id"]: row["captions"] for row in rows}


def written(path: Path, content: object) -> Path:
    """Write a text, or anything else as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(path: Path) -> list[dict[str, Any]]:
    """Read the records of an upstream file."""
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return records
