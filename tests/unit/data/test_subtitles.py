import subprocess
import sys
from pathlib import Path

import pytest

from gram.data.subtitles import SUBTITLES, read_subtitles
from gram.data.tables import PROBE, Row, read_rows, write_rows


def subtitles_of(folder: Path, *texts: str | None) -> list[Row]:
    rows = [
        {"key": f"{n:08d}", "clip_id": f"clip{n}", "subtitle": text, "status": "ok"}
        for n, text in enumerate(texts)
    ]
    write_rows(folder / "probe.parquet", rows, schema=PROBE)
    read_subtitles(folder / "probe.parquet", folder / "subtitles.parquet")
    return read_rows(folder / "subtitles.parquet")


def test_a_subtitle_comes_from_the_annotation(tmp_path: Path) -> None:
    (row,) = subtitles_of(tmp_path, "hello there")
    known = {"clip_id": "clip0", "subtitle": "hello there", "source": "annotation"}
    assert row == {**dict.fromkeys(SUBTITLES.names), **known}


def test_blanks_around_a_subtitle_are_taken_off(tmp_path: Path) -> None:
    assert subtitles_of(tmp_path, "\n hello\tthere \n")[0]["subtitle"] == "hello\tthere"


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "not annotated"), ("", "annotated as blank"), (" \n\t", "annotated as blank")],
    ids=["none", "empty", "blank"],
)
def test_a_blank_subtitle_is_none_and_says_why(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    (row,) = subtitles_of(tmp_path, text)
    assert row == {**dict.fromkeys(SUBTITLES.names), "clip_id": "clip0", "reason": reason}


def test_every_clip_keeps_its_row_in_order(tmp_path: Path) -> None:
    rows = subtitles_of(tmp_path, "a", None, "b")
    assert [row["clip_id"] for row in rows] == ["clip0", "clip1", "clip2"]


def test_a_chunk_without_clips_gives_an_empty_table(tmp_path: Path) -> None:
    assert subtitles_of(tmp_path) == []


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    subtitles_of(tmp_path, "a", None)
    first = (tmp_path / "subtitles.parquet").read_bytes()
    subtitles_of(tmp_path, "a", None)
    assert (tmp_path / "subtitles.parquet").read_bytes() == first


@pytest.mark.parametrize("module", ["subtitles", "depth", "shards"])
def test_preparing_data_imports_no_torch(module: str) -> None:
    code = f"import sys, gram.data.{module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
