import os
from pathlib import Path

import pytest

from gram.data.tables import CLIPS, EXTRACTION, PROBE, printable, read_rows, write_rows


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    row = dict.fromkeys(CLIPS.names) | {"key": "00000000", "captions": ["a", "b"]}
    write_rows(tmp_path / "a.parquet", [row, row], schema=CLIPS)
    assert read_rows(tmp_path / "a.parquet") == [row, row]


def test_a_column_that_a_row_lacks_is_null(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", [{"key": "00000000"}], schema=CLIPS)
    assert read_rows(tmp_path / "a.parquet")[0]["clip_id"] is None


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", [], schema=CLIPS)
    assert read_rows(tmp_path / "a.parquet") == []


def test_a_folder_name_adds_no_column(tmp_path: Path) -> None:
    write_rows(tmp_path / "split=test" / "a.parquet", [{"key": "00000000"}], schema=CLIPS)
    assert list(read_rows(tmp_path / "split=test" / "a.parquet")[0]) == CLIPS.names


def test_each_table_has_the_columns_of_the_one_before() -> None:
    assert EXTRACTION.names[: len(PROBE.names)] == PROBE.names
    assert PROBE.names[: len(CLIPS.names)] == CLIPS.names


@pytest.mark.parametrize(
    ("text", "written"),
    [("épée 剣", "épée 剣"), ("a\nb\t", "a\\nb\\t"), (os.fsdecode(b"\xff"), "\\udcff")],
    ids=["letters", "breaks", "not UTF-8"],
)
def test_what_no_table_and_no_log_can_hold_is_written_out(text: str, written: str) -> None:
    assert printable(text) == written
