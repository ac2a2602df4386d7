"""DiDeMo's official descriptions, written by the tests in their documented form."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.readers.reading import (
    SAMPLES,
    UPSTREAM,
    needs_annotations,
    read,
    texts,
    written,
)

NAME = "26292851@N04_4253489686_265c3c8051"


def told(text: str, *times: list[int], video: str = f"{NAME}.m4v") -> dict[str, Any]:
    return {"annotation_id": 1, "description": text, "video": video, "times": list(times)}


def test_descriptions_are_joined_in_the_order_of_the_chosen_moment(tmp_path: Path) -> None:
    records = [
        told("last.", [4, 4], [0, 0], [4, 4], [0, 0]),  # a tie: the first seen wins
        told("first", [0, 1], [0, 1], [5, 5]),
        told("earliest ", [0, 0], video=f"{NAME}.mov"),
        told("as early", [0, 1], video=f"{NAME}."),
        told("alone", [0, 0], video="1@N00_2_ab"),
    ]
    rows, account = read(tmp_path, "didemo", written(tmp_path / "test_data.json", records))
    assert texts(rows) == {NAME: ["earliest  first as early last."], "1@N00_2_ab": ["alone"]}
    assert account.forms == ("test_data.json: the official descriptions, of test by its name",)


def test_clips_of_didemo_end_where_annotators_stopped_looking(tmp_path: Path) -> None:
    official = written(tmp_path / "a.json", [told("x", [0, 0])])
    upstream = written(tmp_path / "b.json", [{"video_id": NAME, "desc": "x"}])
    for file in (official, upstream):
        (row,) = read(tmp_path, "didemo", file)[0]
        assert (row["source_id"], row["start_seconds"], row["end_seconds"]) == (NAME, None, 30.0)


def test_a_list_of_didemo_may_have_suffixes(tmp_path: Path) -> None:
    records = [told("x", [0, 0]), told("y", [0, 0], video="1@N00_2_ab.avi")]
    file = written(tmp_path / "a.json", records)
    listed = written(tmp_path / "test_list.txt", f"{NAME}.mov\n")
    assert texts(read(tmp_path, "didemo", file, listed)[0]) == {NAME: ["x"]}


@pytest.mark.parametrize("times", [None, [], ["4"], [[1]], [["a", 2]]])
def test_a_description_without_moments_is_named(times: object, tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [told("x") | {"times": times}])
    with pytest.raises(ValueError, match=r"record 1 of .*a.json: times is .*, where pairs of"):
        read(tmp_path, "didemo", file)


CORRUPTED = (
    "18126407@N00_2819653811_28523093f2\n"
    "66919018@N00_2484685542_ab0a67e5f2\n"
    "74989579@N00_2885371919_f3b13a9608\n"
)


def test_the_list_of_corrupted_videos_is_no_list_of_those_that_count(tmp_path: Path) -> None:
    record = {"video_id": CORRUPTED.split("\n", 1)[0], "desc": "x"}
    file = written(tmp_path / "descs_ret_train.json", [record])
    listed = written(tmp_path / "list.txt", CORRUPTED)
    words = r"list.txt is the published code's list of 3 videos that were corrupted, .*; leave it o"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "didemo", file, listed, split="train")


@needs_annotations
def test_the_published_list_of_corrupted_videos_is_known(tmp_path: Path) -> None:
    listed = SAMPLES / "didemo/upstream_corrupted.txt"
    with pytest.raises(ValueError, match=r"upstream_corrupted.txt is the published code's list"):
        read(tmp_path, "didemo", UPSTREAM / "didemo/descs_ret_train.json", listed, split="train")
