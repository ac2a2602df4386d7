"""Files that cannot be used, and records that do not count: each is told of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from gram.config.data import FormatName
from gram.data.annotations import OWN, make_clips
from gram.data.readers import FORMATS
from tests.unit.data.readers.reading import read, texts, written

GOOD = {"video_id": "video1", "desc": "a dog"}
AUDIOCAPS = "audiocap_id,youtube_id,start_time,caption\n"
VIDEO = "abcdefghijk"
VIDEOS = ("video1", "video2")


def test_the_settings_know_every_format() -> None:
    assert sorted(get_args(FormatName)) == sorted([OWN, *FORMATS])


def test_the_settings_name_own_clips_first() -> None:
    assert get_args(FormatName)[0] == OWN


BAD = {
    "empty": ("msrvtt", "a.json", "", r"a.json is empty; fetch the file again"),
    "blank": ("msrvtt", "a.csv", " \n\n", r"a.csv is empty; fetch the file again"),
    "cut": ("msrvtt", "a.json", '[{"video_id": "vid', r"is not JSON: line 1, column 15: .*; fetch"),
    "cut line": ("vatex", "a.jsonl", '{"videoID": 1}\n{"vi', r"not JSON lines: line 2, column 2: "),
    "deep": (
        "msrvtt",
        "a.json",
        "[" * 100_000,
        r"a.json is JSON that is nested too deep .*; fetch",
    ),
    "deep line": (
        "vatex",
        "a.jsonl",
        "{}\n" + "[" * 100_000,
        r"line 2 of .*a.jsonl is JSON that is nested too deep .*; fetch",
    ),
    "long number": (
        "msrvtt",
        "a.json",
        f"[{'7' * 5000}]",
        r"a.json is JSON that holds a number of more than 4,300 digits; fetch",
    ),
    "long number in a line": (
        "vatex",
        "a.jsonl",
        "7" * 5000,
        r"line 1 of .*a.jsonl is JSON that holds a number of more than 4,300 digits; fetch",
    ),
    "no record": ("msrvtt", "a.json", [], r"MSR-VTT that is known: found an empty list; give up"),
    "no object": ("msrvtt", "a.json", [3], r"found a list of 1, the first \[3\]; give upstream's"),
    "a number": ("msrvtt", "a.json", 3, r"found one JSON number; give upstream's"),
    "text": ("msrvtt", "a.txt", "hello\n", r"found 1 lines of text, the first with 1 cells \('hel"),
    "questions": (
        "msrvtt",
        "a.json",
        [{"video_id": "video1", "question": ["what"], "answer": ["dog"]}],
        r"found a list of 1, the first an object with the keys video_id, question, answer; give",
    ),
    "suffix": ("msrvtt", "a.zip", "x", r"a.zip ends in '.zip', not in .json, .jsonl, .csv, .tsv"),
    "another id": (
        "msrvtt",
        "a.json",
        [GOOD, {"video_id": "film", "desc": "x"}],
        r"record 2 of .*a.json: 'film' is not an id like 'video7020'; fetch the file again",
    ),
    "no id": (
        "msrvtt",
        "a.json",
        [GOOD, {"desc": "x"}],
        r"record 2 of .* has no clip_id or video_id or id that is a text; its keys are desc; fetch",
    ),
    "no caption": (
        "msrvtt",
        "a.json",
        [GOOD, {"video_id": "video2", "subtitle": ""}],
        r"record 2 of .* has no desc; its keys are video_id, subtitle; fetch the file again",
    ),
    "caption of a number": (
        "msrvtt",
        "a.json",
        [GOOD, {"video_id": "video2", "desc": ["x", 3]}],
        r"record 2 of .*: desc holds a number; give a text or a list of texts",
    ),
    "another record": (
        "msrvtt",
        "a.json",
        [GOOD, "x"],
        r"record 2 of .* is a JSON string, not an object; fetch the file again",
    ),
    "differing subtitles": (
        "msrvtt",
        "a.json",
        [GOOD | {"subtitle": "s"}, GOOD | {"subtitle": "t"}],
        r"two rows of clip 'video1' in .*a.json differ in subtitle",
    ),
    "repeated list": (
        "msrvtt",
        "a.json",
        [GOOD | {"desc": ["x", "y"]}, GOOD],
        r"1 clip ids occur more than once: 'video1' \(in .*a.json\)",
    ),
    "repeated paragraph": (
        "activitynet",
        "a.json",
        [{"video_id": f"v_{VIDEO}", "desc": text} for text in "xy"],
        r"1 clip ids occur more than once: 'v_abcdefghijk'",
    ),
    "cells": (
        "audiocaps",
        "a.csv",
        f"{AUDIOCAPS}1,{VIDEO},30,a dog, a cat\n",
        r"line 2 of .*a.csv has 5 cells, the first line has 4; fetch .* put quotation marks",
    ),
    "time": (
        "audiocaps",
        "a.csv",
        f"{AUDIOCAPS}1,{VIDEO},soon,a dog\n",
        r"line 2 of .*a.csv: 'soon' is not a time; give seconds",
    ),
    "quotation": ("audiocaps", "a.csv", f'{AUDIOCAPS}1,{VIDEO},3,"x', r"not CSV: line 2: unexpec"),
    "start": (
        "vggsound",
        "a.csv",
        f"{VIDEO},1,a,test\n{VIDEO},x,a,test\n",
        r"line 2 .* 'x' is not",
    ),
    "all blank": (
        "msrvtt",
        "a.json",
        [GOOD | {"desc": " "}],
        r"no clip of MSR-VTT's split 'test' is left \(left out: 1 blank captions; 1 clips without",
    ),
}


@pytest.mark.parametrize(("name", "file", "content", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_explained(
    name: str, file: str, content: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, name, written(tmp_path / file, content))
    assert not (tmp_path / "clips.parquet").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_every_data_set_names_what_to_give(name: str, tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", {"a": 1})
    words = r"a.json is no annotation file of .* found one JSON object with the keys 'a'; give .*"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, name, file)


@pytest.mark.parametrize("name", FORMATS)
def test_an_absent_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone.json is not there \(looked for .*\); put it there"):
        read(tmp_path, name, tmp_path / "gone.json")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{AUDIOCAPS}1,{VIDEO},30,caf\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.csv is not text in UTF-8 \(byte \d+ is 0xe9\); save"):
        read(tmp_path, "audiocaps", path)


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_byte_order_mark_is_no_part_of_the_text(suffix: str, tmp_path: Path) -> None:
    content = {
        "json": json.dumps([{"video_id": f"{VIDEO}_0.000_10.000", "caption": "a dog"}]),
        "csv": f"{AUDIOCAPS}1,{VIDEO},0,a dog\n",
    }
    file = written(tmp_path / f"a.{suffix}", "\ufeff" + content[suffix])
    assert texts(read(tmp_path, "audiocaps", file)[0]) == {f"{VIDEO}_0.000_10.000": ["a dog"]}


def test_line_ends_of_other_systems_are_no_part_of_the_text(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", f"{AUDIOCAPS}1,{VIDEO},0,a dog\n".replace("\n", "\r\n"))
    assert texts(read(tmp_path, "audiocaps", file)[0]) == {f"{VIDEO}_0.000_10.000": ["a dog"]}


def test_blank_captions_are_left_out_and_counted(tmp_path: Path) -> None:
    records = [
        {"video_id": "video1", "desc": ["", "x", "  "]},
        {"video_id": "video2", "desc": []},
        {"video_id": "video3", "desc": "y"},
    ]
    rows, account = read(tmp_path, "msrvtt", written(tmp_path / "a.json", records))
    assert texts(rows) == {"video1": ["x"], "video3": ["y"]}
    assert account.left_out == {"blank captions": 2, "clips without a caption": 1}


def test_files_of_both_forms_are_not_mixed(tmp_path: Path) -> None:
    upstream = written(tmp_path / "a.json", [{"video_id": f"{VIDEO}_0.000_10.000", "caption": "x"}])
    official = written(tmp_path / "a.csv", f"{AUDIOCAPS}1,{VIDEO},0,x\n")
    words = (
        r"different forms \(a.json: upstream's records; a.csv: the official captions\), which name "
        r"the same clips; give files of one form"
    )
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "audiocaps", upstream, official)


def upstream(tmp_path: Path, name: str, video: str) -> Path:
    return written(tmp_path / name, [{"video_id": video, "desc": "a dog"}])


def test_files_of_training_and_of_test_are_not_one_split(tmp_path: Path) -> None:
    train = upstream(tmp_path, "descs_ret_train.json", "video1")
    test = upstream(tmp_path, "descs_ret_test.json", "video2")
    words = (
        r"the split 'train' is given files of training and of test, by their names: "
        r".*descs_ret_train.json \(upstream's records\) and .*descs_ret_test.json .*; give each"
    )
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", train, test, split="train")


@pytest.mark.parametrize("names", [("train.csv", "test.csv"), ("dev_training.csv", "a.test.csv")])
def test_official_files_of_training_and_of_test_are_not_one_split(
    names: tuple[str, str], tmp_path: Path
) -> None:
    files = [
        written(tmp_path / name, f"{AUDIOCAPS}1,{VIDEO},{number}0,a dog\n")
        for number, name in enumerate(names)
    ]
    with pytest.raises(ValueError, match=r"'test' is given files of training and of test, by the"):
        read(tmp_path, "audiocaps", *files)


def test_two_files_of_upstream_are_not_one_split_whatever_their_names(tmp_path: Path) -> None:
    files = [
        upstream(tmp_path, f"{name}.json", video) for name, video in zip("ab", VIDEOS, strict=True)
    ]
    words = r"the split 'test' is given 2 files, each of which is a whole split: .*; give one of"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", *files)


JSFUSION = "key,vid_key,video_id,sentence\nret0,msr1,video1,a dog\n"


@pytest.mark.parametrize("names", [("MSRVTT_train.9k.csv", "MSRVTT_JSFUSION_test.csv"), "ab"])
def test_lists_of_different_splits_are_not_one(names: Sequence[str], tmp_path: Path) -> None:
    videos = [{"video_id": name, "split": "train"} for name in VIDEOS]
    sentences = [{"video_id": name, "caption": "x"} for name in VIDEOS]
    file = written(tmp_path / "MSRVTT_data.json", {"videos": videos, "sentences": sentences})
    lists = [written(tmp_path / f"{names[0]}.csv", "video_id\nvideo2\n")]
    lists.append(written(tmp_path / f"{names[1]}.csv", JSFUSION))
    with pytest.raises(ValueError, match=r"the split 'test' is given (files of training|2 files)"):
        read(tmp_path, "msrvtt", file, *lists)


@pytest.mark.parametrize("names", [("train.csv", "val.csv"), ("test.csv", "val.csv")])
def test_files_of_validation_may_go_with_others(names: tuple[str, str], tmp_path: Path) -> None:
    files = [
        written(tmp_path / name, f"{AUDIOCAPS}1,{VIDEO},{number}0,a dog\n")
        for number, name in enumerate(names)
    ]
    split = names[0].removesuffix(".csv")
    assert read(tmp_path, "audiocaps", *files, split=split)[1].clips == 2


def test_a_list_of_what_does_not_count_may_be_of_training(tmp_path: Path) -> None:
    file = written(tmp_path / "test.csv", f"{AUDIOCAPS}1,{VIDEO},30,a dog\n")
    trained_on = written(tmp_path / "train.csv", "aaaaaaaaaaa_000030.mp4,dog barking\n")
    assert read(tmp_path, "audiocaps", file, trained_on)[1].clips == 1


@pytest.mark.parametrize("name", ["official_test.csv", "AStest.csv"])
def test_the_test_list_of_vggsound_is_not_its_training_list(name: str, tmp_path: Path) -> None:
    (tmp_path / "vggsound").mkdir()
    file = written(tmp_path / "test.csv", f"{AUDIOCAPS}1,{VIDEO},30,a dog\n")
    tested_on = written(tmp_path / "vggsound" / name, f"{VIDEO}_000030.mp4,dog barking\n")
    with pytest.raises(ValueError, match=r"is VGGSound's test list by its name, .*; give train.cs"):
        read(tmp_path, "audiocaps", file, tested_on)


def test_a_list_decides_where_files_of_clips_are_of_several_splits(tmp_path: Path) -> None:
    train = upstream(tmp_path, "descs_ret_train.json", "video1")
    test = upstream(tmp_path, "descs_ret_test.json", "video2")
    listed = written(tmp_path / "list.txt", "video2\n")
    assert texts(read(tmp_path, "msrvtt", train, test, listed)[0]) == {"video2": ["a dog"]}


def test_a_file_given_twice_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [GOOD])
    with pytest.raises(ValueError, match=r"a.json is given twice for one split; name it o"):
        read(tmp_path, "msrvtt", file, file)


def test_a_list_alone_has_no_captions(tmp_path: Path) -> None:
    file = written(tmp_path / "list.txt", "video1\nvideo2\n")
    words = r"none of the files has captions of MSR-VTT \(list.txt: a list of ids\); give upstream"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", file)


def test_a_list_of_another_data_set_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [GOOD])
    listed = written(tmp_path / "list.txt", f"v_{VIDEO}\n")
    with pytest.raises(
        ValueError, match=r"list.txt is no .* looks like ActivityNet Captions; give"
    ):
        read(tmp_path, "msrvtt", file, listed)


def test_a_list_that_names_none_of_the_clips_is_an_error(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [GOOD])
    listed = written(tmp_path / "list.txt", "video2\n")
    words = r"left out: 1 clips that no list names; 1 listed ids that no file with captions has"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", file, listed)


def test_a_bad_line_of_a_list_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [GOOD])
    listed = written(tmp_path / "list.txt", "video1\nfilm\n")
    with pytest.raises(ValueError, match=r"id 2 of .*list.txt: 'film' is not an id like"):
        read(tmp_path, "msrvtt", file, listed)


def test_a_split_that_a_file_does_not_name_is_told_of(tmp_path: Path) -> None:
    file = written(tmp_path / "vggsound.csv", f"{VIDEO},30,dog barking,train\n")
    words = r"split 'test' is left \(left out: 1 clips of the official split 'train'\); give vggs"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "vggsound", file)


def test_a_clip_in_two_splits_is_named_with_both_files(tmp_path: Path) -> None:
    files = [(split, written(tmp_path / f"{split}.json", [GOOD])) for split in ("train", "test")]
    with pytest.raises(ValueError, match=r"'video1' \(in .*test.json, .*train.json\)"):
        make_clips(files, tmp_path / "clips.parquet", format_name="msrvtt")


FLAT = [GOOD | {"desc": text} for text in ("a dog", "a cat")]
DATABASE = {"database": {VIDEO: {"subset": "training", "recipe_type": "1", "annotations": []}}}


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (FLAT, r"occur more than once: .*\. .*a.json looks like MSR-VTT: set .* to msrvtt"),
        (DATABASE, r"expected a list of .*\. .* looks like YouCook2: set .* to youcook2"),
    ],
    ids=["flat rows", "an object"],
)
def test_a_published_file_that_is_read_as_own_clips_is_told_of(
    content: object, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=hint):
        read(tmp_path, OWN, written(tmp_path / "a.json", content))


def test_a_published_file_that_can_be_read_as_own_clips_is(tmp_path: Path) -> None:
    assert texts(read(tmp_path, OWN, written(tmp_path / "a.json", [GOOD]))[0]) == {
        "video1": ["a dog"]
    }
