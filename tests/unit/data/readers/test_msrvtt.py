"""MSR-VTT's official files and flat rows, written by the tests in their documented forms."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.readers.reading import read, texts, written


def videodatainfo(*splits: str, captions: int = 20) -> dict[str, Any]:
    """Make a whole file: a video of each split, whose sentences take turns."""
    videos = [
        {
            "category": 9,
            "url": f"https://www.youtube.com/watch?v=9lZi22qLlE{number}",
            "video_id": f"video{number}",
            "start time": 137.72,
            "end time": 149.44,
            "split": split,
            "id": number,
        }
        for number, split in enumerate(splits)
    ]
    sentences = [
        {"caption": f"caption {turn} of {number}", "video_id": f"video{number}", "sen_id": turn}
        for turn in range(captions)
        for number in range(len(splits))
    ]
    return {"info": {"year": "2017"}, "videos": videos, "sentences": sentences}


def test_videodatainfo_gives_every_sentence_of_its_split(tmp_path: Path) -> None:
    file = written(tmp_path / "info.json", videodatainfo("train", "validate", "test", "train"))
    rows, account = read(tmp_path, "msrvtt", file, split="train")
    assert texts(rows)["video3"] == [f"caption {turn} of 3" for turn in range(20)]
    assert [row["clip_id"] for row in rows] == ["video0", "video3"]
    assert account.left_out == {
        "clips of the official split 'validate'": 1,
        "clips of the official split 'test'": 1,
    }


def test_validate_is_the_split_val(tmp_path: Path) -> None:
    file = written(tmp_path / "info.json", videodatainfo("train", "validate"))
    assert list(texts(read(tmp_path, "msrvtt", file, split="val")[0])) == ["video1"]


def test_the_training_list_counts_instead_of_the_official_split(tmp_path: Path) -> None:
    info = written(tmp_path / "info.json", videodatainfo("train", "validate", "test"))
    listed = written(tmp_path / "MSRVTT_train.9k.csv", "video_id\nvideo0\nvideo2\nvideo9\n")
    rows, account = read(tmp_path, "msrvtt", info, listed, split="train")
    assert list(texts(rows)) == ["video0", "video2"]
    assert account.captions == 40
    assert account.left_out == {
        "clips that no list names": 1,
        "listed ids that no file with captions has": 1,
    }
    assert account.forms == (
        "info.json: the official videodatainfo",
        "MSRVTT_train.9k.csv: a list of ids, of training by its name",
    )


TEST_LIST = 'key,vid_key,video_id,sentence\nret0,msr2,video2,"a man, a plan"\n'


def test_the_test_list_has_captions_of_its_own(tmp_path: Path) -> None:
    listed = written(tmp_path / "MSRVTT_JSFUSION_test.csv", TEST_LIST)
    assert texts(read(tmp_path, "msrvtt", listed)[0]) == {"video2": ["a man, a plan"]}


def test_the_test_list_chooses_the_caption_where_the_sentences_are_given(tmp_path: Path) -> None:
    info = written(tmp_path / "info.json", videodatainfo("train", "validate", "test"))
    listed = written(tmp_path / "MSRVTT_JSFUSION_test.csv", TEST_LIST)
    rows, account = read(tmp_path, "msrvtt", info, listed)
    assert texts(rows) == {"video2": ["a man, a plan"]}
    assert account.left_out == {"clips that no list names": 2}


def test_flat_rows_are_the_captions_of_a_clip(tmp_path: Path) -> None:
    records = [
        {"video_id": f"video{number}", "desc": f"caption {turn % 7}", "subtitle": f" s{number}"}
        for turn in range(20)
        for number in range(9)
    ]
    file = written(tmp_path / "train.json", records)
    rows, account = read(tmp_path, "msrvtt", file, split="train")
    assert (account.clips, account.captions, account.left_out) == (9, 180, {})
    assert account.noted == {"captions that equal another one of their clip": 9 * 13}
    assert rows[8]["captions"] == [f"caption {turn % 7}" for turn in range(20)]
    assert rows[8]["subtitle"] == " s8"


def test_a_sentence_of_no_video_is_named(tmp_path: Path) -> None:
    content = videodatainfo("test") | {"sentences": [{"caption": "x", "video_id": "video7"}]}
    words = "sentence 1 of .*info.json is of the video 'video7', which is not among its 1 videos"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", written(tmp_path / "info.json", content))


def test_a_list_counts_clips_and_not_their_rows(tmp_path: Path) -> None:
    records = [
        {"video_id": f"video{number}", "desc": f"caption {turn}"}
        for turn in range(3)
        for number in range(3)
    ]
    file = written(tmp_path / "train.json", records)
    rows, account = read(tmp_path, "msrvtt", file, written(tmp_path / "list.txt", "video1\n"))
    assert texts(rows) == {"video1": ["caption 0", "caption 1", "caption 2"]}
    assert account.left_out == {"clips that no list names": 2}


def test_the_test_list_chooses_one_caption_of_flat_rows_too(tmp_path: Path) -> None:
    records = [{"video_id": "video2", "desc": f"caption {turn}"} for turn in range(3)]
    file = written(tmp_path / "test.json", records)
    rows, _ = read(tmp_path, "msrvtt", file, written(tmp_path / "list.csv", TEST_LIST))
    assert texts(rows) == {"video2": ["a man, a plan"]}
