import json
import logging
from pathlib import Path

import pytest

from gram.data.annotations import make_clips
from gram.data.media_files import chunk_of
from gram.data.tables import CLIPS, Row, read_rows


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def clips_of(tmp_path: Path, *files: tuple[str | None, Path]) -> list[Row]:
    make_clips(files, tmp_path / "clips.parquet")
    return read_rows(tmp_path / "clips.parquet")


def read_json(tmp_path: Path, content: object, split: str | None = "test") -> list[Row]:
    return clips_of(tmp_path, (split, write(tmp_path / "a.json", content)))


def read_csv(tmp_path: Path, content: str, split: str | None = "test") -> list[Row]:
    return clips_of(tmp_path, (split, write(tmp_path / "a.csv", content)))


# --- what is read ------------------------------------------------------------------------------


def test_an_upstream_record_becomes_a_row(tmp_path: Path) -> None:
    record = {"video_id": "video9770", "desc": ["one", "two"], "subtitle": " Now "}
    assert read_json(tmp_path, [record]) == [
        {
            "key": "00000000",
            "clip_id": "video9770",
            "source_id": "video9770",
            "split": "test",
            "start_seconds": None,
            "end_seconds": None,
            "captions": ["one", "two"],
            "subtitle": " Now ",
            "label": None,
        }
    ]


@pytest.mark.parametrize("key", ["desc", "caption", "vast_cap"])
def test_a_caption_stands_under_any_of_upstreams_keys(tmp_path: Path, key: str) -> None:
    assert read_json(tmp_path, [{"video_id": "a", key: "a dog"}])[0]["captions"] == ["a dog"]


@pytest.mark.parametrize("key", ["clip_id", "video_id", "id"])
def test_a_clip_stands_under_any_of_upstreams_keys(tmp_path: Path, key: str) -> None:
    assert read_json(tmp_path, [{key: "a", "desc": "a dog"}])[0]["clip_id"] == "a"


def test_a_clip_id_may_be_any_text(tmp_path: Path) -> None:
    ids = ["../../etc/passwd", "a b", "-x", "%03d", "flickr/1.jpg", "剣", "a\nb"]
    rows = read_json(tmp_path, [{"video_id": name, "desc": "x"} for name in ids])
    assert [row["clip_id"] for row in rows] == ids


def test_a_number_as_an_id_is_read_as_text(tmp_path: Path) -> None:
    assert read_json(tmp_path, [{"video_id": 7, "desc": "x"}])[0]["clip_id"] == "7"


def test_keys_number_the_rows_of_all_files(tmp_path: Path) -> None:
    one = write(tmp_path / "a.json", [{"id": "a", "desc": "x"}, {"id": "b", "desc": "x"}])
    two = write(tmp_path / "b.json", [{"id": "c", "desc": "x"}])
    rows = clips_of(tmp_path, ("train", one), ("test", two))
    assert [(row["key"], row["clip_id"], row["split"]) for row in rows] == [
        ("00000000", "a", "train"),
        ("00000001", "b", "train"),
        ("00000002", "c", "test"),
    ]


def test_records_carry_their_split_where_the_file_has_none(tmp_path: Path) -> None:
    records = [{"id": "a", "desc": "x", "split": "val"}, {"id": "b", "desc": "x", "split": "test"}]
    assert [row["split"] for row in read_json(tmp_path, records, split=None)] == ["val", "test"]


def test_records_of_another_split_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = [{"id": "a", "desc": "x", "split": "val"}, {"id": "b", "desc": "x", "split": "test"}]
    with caplog.at_level(logging.INFO):
        assert [row["clip_id"] for row in read_json(tmp_path, records)] == ["b"]
    assert "left out: 1 records of other splits" in caplog.text


def test_blank_captions_are_left_out(tmp_path: Path) -> None:
    assert read_json(tmp_path, [{"id": "a", "desc": ["", " ", "x"]}])[0]["captions"] == ["x"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"start": 1, "end": 2.5}, (1.0, 2.5)),
        ({"start_seconds": 1}, (1.0, None)),
        ({"end": "00:01:02.500"}, (None, 62.5)),
        ({"clip_span": [3, 4], "source_id": "film"}, (3.0, 4.0)),
        ({"clip_span": ["00:03:00.879", "00:03:10.269"], "source_id": "film"}, (180.879, 190.269)),
        ({"clip_span": ["00:03:00.879", "00:03:10.269"]}, (None, None)),
    ],
    ids=["both", "start", "clock", "span", "span of clock times", "span of a clip cut already"],
)
def test_the_part_of_a_file_is_read(
    tmp_path: Path, times: dict[str, object], expected: tuple[float | None, float | None]
) -> None:
    row = read_json(tmp_path, [{"clip_id": "a", "desc": "x", **times}])[0]
    assert (row["start_seconds"], row["end_seconds"]) == pytest.approx(expected)


def test_rows_of_a_csv_clip_are_its_captions(tmp_path: Path) -> None:
    text = 'video_id,caption,label\na,"one, two",dog\nb,three,\na,four,dog\n'
    rows = read_csv(tmp_path, text)
    assert [(row["clip_id"], row["captions"], row["label"]) for row in rows] == [
        ("a", ["one, two", "four"], "dog"),
        ("b", ["three"], None),
    ]


def test_a_csv_file_may_name_all_columns(tmp_path: Path) -> None:
    text = (
        "clip_id,desc,subtitle,split,start,end,label,source_id\r\n"
        'c,"a ""dog""\u2028barks",hello,test,1,2.5,7,film\r\n'
    )
    row = read_csv(tmp_path, text, split=None)[0]
    assert list(row.values()) == [
        *("00000000", "c", "film", "test", 1.0, 2.5),
        *(['a "dog"\u2028barks'], "hello", "7"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert read_csv(tmp_path, "\ufeffvideo_id,caption\na,x\n")[0]["clip_id"] == "a"


def test_the_table_has_its_columns_where_no_record_fills_them(tmp_path: Path) -> None:
    assert list(read_json(tmp_path, [{"id": "a", "desc": "x"}])[0]) == CLIPS.names


def test_the_same_annotations_give_the_same_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"id": "a", "desc": "x"}])
    for name in ("one", "two"):
        make_clips([("test", path)], tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_empty_file_of_a_chunk_without_clips_is_fine(tmp_path: Path) -> None:
    full = write(tmp_path / "a.json", [{"id": "a", "desc": "x", "split": "test"}])
    rows = clips_of(tmp_path, (None, write(tmp_path / "b.json", [])), (None, full))
    assert len(rows) == 1


def test_counts_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = [{"id": "a", "desc": ["x", "y"], "subtitle": "z"}, {"id": "b", "desc": "x", "end": 2}]
    with caplog.at_level(logging.INFO):
        read_json(tmp_path, records)
    expected = "test: 2 clips, 3 captions, 1 with a subtitle, 1 parts of longer files"
    assert expected in caplog.text


# --- parts -------------------------------------------------------------------------------------

SIX = [{"id": f"clip{number}", "desc": "x"} for number in range(6)]


def parts_of(tmp_path: Path, content: object, *, chunks: int) -> dict[str, tuple[list[str], int]]:
    """Write the parts; give the clips and the time of change of each."""
    path = write(tmp_path / "a.json", content)
    make_clips([("test", path)], tmp_path / "clips.parquet", chunks=chunks)
    return {
        part.name: ([row["clip_id"] for row in read_rows(part)], part.stat().st_mtime_ns)
        for part in sorted((tmp_path / "clips").iterdir())
    }


def test_parts_hold_the_clips_of_their_chunks(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, SIX, chunks=3)
    assert {name: ids for name, (ids, _) in parts.items()} == {
        f"{chunk:04d}.parquet": [
            record["id"] for record in SIX if chunk_of(record["id"], 3) == chunk
        ]
        for chunk in range(3)
    }
    whole = read_rows(tmp_path / "clips.parquet")
    rows = [row for part in parts for row in read_rows(tmp_path / "clips" / part)]
    assert sorted(rows, key=lambda row: row["key"]) == whole


def test_no_parts_are_written_unless_asked_for(tmp_path: Path) -> None:
    read_json(tmp_path, SIX)
    assert not (tmp_path / "clips").exists()


def test_only_the_part_of_a_changed_clip_is_written_again(tmp_path: Path) -> None:
    before = parts_of(tmp_path, SIX, chunks=3)
    after = parts_of(tmp_path, [*SIX[:5], SIX[5] | {"desc": "y"}], chunks=3)
    changed = [name for name in before if before[name][1] != after[name][1]]
    assert changed == [f"{chunk_of('clip5', 3):04d}.parquet"]


def test_a_damaged_part_is_written_again(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, SIX, chunks=3)
    (tmp_path / "clips" / "0001.parquet").write_bytes(b"PAR1")
    again = parts_of(tmp_path, SIX, chunks=3)
    assert {name: ids for name, (ids, _) in again.items()} == {
        name: ids for name, (ids, _) in parts.items()
    }


def test_parts_of_another_division_are_removed(tmp_path: Path) -> None:
    parts_of(tmp_path, SIX, chunks=3)
    assert list(parts_of(tmp_path, SIX, chunks=1)) == ["0000.parquet"]


# --- what is wrong -----------------------------------------------------------------------------

GOOD = {"video_id": "a", "desc": "x"}

BAD_JSON = {
    "broken": ('[{"video_id": "a",}]', r"is not JSON: line 1, column 19: .*; expected a list of"),
    "an object": ('{"annotations": []}', "holds one JSON object with the keys annotations at line"),
    "a text": ('"a"', "holds one JSON string at line 1; expected a list of records"),
    "empty": ("", r"a.json is empty; expected a list of records like \[\{"),
    "no record": ("[]", r"names no clip of the split 'test' \(found no record\); add records"),
    "no object": ([GOOD, "b"], "record 2 of .*a.json is a JSON string; expected a list of records"),
    "no id": (
        [GOOD, {"name": "b", "desc": "x"}],
        "record 2 .* names no clip: .* its keys are name",
    ),
    "blank id": ([{"video_id": " ", "desc": "x"}], "record 1 .* names no clip"),
    "bool id": ([{"video_id": True, "desc": "x"}], "video_id is true or false; give a text"),
    "no caption": (
        [{"video_id": "a", "name": "x"}],
        "record 1 .* keys are video_id, name; add one",
    ),
    "blank caption": ([{"video_id": "a", "desc": [" "]}], "record 1 .* has no caption"),
    "number caption": ([{"video_id": "a", "desc": ["x", 3]}], "desc holds a number; give a text"),
    "list subtitle": ([GOOD | {"subtitle": ["x"]}], "subtitle is a list; give a text"),
    "control character": (
        [GOOD, {"video_id": "b", "desc": "a\x07"}],
        r"record 2 of .*a.json: desc holds the control character U\+0007 \('a\\x07'\); take it",
    ),
    "nothing in an id": (
        [{"video_id": "a\0b", "desc": "x"}],
        r"record 1 .*: video_id holds .*U\+0000",
    ),
    "control character of the file": (
        '[{"video_id": "a",\n "desc": "\x1b[0m"}]',
        r"line 2 of .*a.json holds the control character U\+001B \(1 such in the file\); take",
    ),
    "two values": (
        '[{"video_id": "a", "video_id": "b", "desc": "x"}]',
        r"a.json is JSON that has the key 'video_id' twice in one object, with different values",
    ),
    "half a character": ('[{"video_id": "a", "desc": "\\ud800"}]', "desc holds half a character"),
    "times reversed": ([GOOD | {"start": 5, "end": 2}], "ends at 2 s and starts at 5 s; the end"),
    "negative time": ([GOOD | {"start": -1}], "-1 is not a time; give seconds from 0 on, or HH"),
    "no time": ([GOOD | {"end": "soon"}], "'soon' is not a time"),
    "infinite time": ([GOOD | {"end": "inf"}], "'inf' is not a time"),
    "no span": (
        [GOOD | {"clip_span": 3, "source_id": "b"}],
        r"clip_span is 3; give \[start, end\]",
    ),
    "other split": ([GOOD | {"split": "val"}], r"no clip of the split 'test' \(found 'val': 1\)"),
}


@pytest.mark.parametrize(("content", "words"), BAD_JSON.values(), ids=BAD_JSON)
def test_a_bad_json_file_is_explained(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_json(tmp_path, content)


BAD_CSV = {
    "empty": ("", "a.csv is empty; expected a CSV file, first line: column names, among them"),
    "no id": ("name,caption\nx,y\n", "no column clip_id or video_id or id; found name, caption"),
    "no caption": ("video_id,text\na,y\n", "no column desc or caption or vast_cap; found video_id"),
    "column twice": (
        "video_id,caption,caption\na,x,y\n",
        "has the column 'caption' more than once; several captions of a clip stand in rows of",
    ),
    "blank cell": ("video_id,caption\na,x\nb,\n", r"row 2 \(line 3\) of .* has no caption"),
    "comma": (
        "video_id,caption\na,x, y\n",
        r"row 1 .* more cells than the 2 columns; put quotation",
    ),
    "quotation": ('video_id,caption\na,"x\n', "is not CSV: line 2: unexpected end of data"),
    "differing": (
        "video_id,caption,subtitle\na,x,s\na,y,t\n",
        "two rows of clip 'a' in .* differ in subtitle; rows of one clip are its captions",
    ),
    "control character": (
        "video_id,caption\na,x\0\n",
        r"line 2 of .*a.csv holds the control character U\+0000 \(1 such in the file\); take them",
    ),
    "no row": ("video_id,caption\n", "names no clip of the split 'test'"),
}


@pytest.mark.parametrize(("content", "words"), BAD_CSV.values(), ids=BAD_CSV)
def test_a_bad_csv_file_is_explained(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_csv(tmp_path, content)


def test_a_missing_file_is_named_with_its_setting(tmp_path: Path) -> None:
    words = r"gone.json is not there .* or correct datasets.<name>.annotations.train"
    with pytest.raises(ValueError, match=words):
        clips_of(tmp_path, ("train", tmp_path / "gone.json"))


def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.tsv ends in '.tsv', not in .json or .csv"):
        clips_of(tmp_path, ("train", write(tmp_path / "a.tsv", "x")))


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("video_id,caption\na,caf\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.csv is not text in UTF-8 \(byte 22 is 0xe9\); save"):
        clips_of(tmp_path, ("train", path))


def test_a_record_without_a_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"record 1 of .* has no split; .* add the key 'split'"):
        read_json(tmp_path, [GOOD], split=None)


def test_no_clip_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the annotations name no clip \(.*a.json\); add at least"
    ):
        read_json(tmp_path, [], split=None)


def test_a_clip_with_two_contents_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"1 clip ids occur more than once: 'a' \(in .*a.json\)"):
        read_json(tmp_path, [GOOD, GOOD | {"desc": "y"}])


def test_a_repeated_record_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert read_json(tmp_path, [GOOD, GOOD])[0]["captions"] == ["x"]
    assert "test: 1 clips, 1 captions, " in caplog.text
    assert "left out: 1 repeated records" in caplog.text


def test_a_repeated_row_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rows = read_csv(tmp_path, "video_id,caption\na,x\na,y\na,x\n")
    assert [row["captions"] for row in rows] == [["x", "y"]]
    assert "left out: 1 repeated records" in caplog.text


def test_a_clip_in_two_splits_is_named_with_both_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.json", [GOOD]), write(tmp_path / "b.json", [GOOD])
    with pytest.raises(ValueError, match=r"'a' \(in .*a.json, .*b.json\); .* remove the repeated"):
        clips_of(tmp_path, ("train", one), ("test", two))


def test_of_many_duplicates_the_first_are_named(tmp_path: Path) -> None:
    records = [{"id": f"v{number}", "desc": text} for text in "xy" for number in range(7)]
    with pytest.raises(
        ValueError, match=r"7 clip ids occur .*'v4' \(in .*\) and 2 more; each clip"
    ):
        read_json(tmp_path, records)


def test_nothing_is_written_when_something_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than once"):
        read_json(tmp_path, [GOOD, GOOD | {"desc": "y"}])
    assert not (tmp_path / "clips.parquet").exists()
