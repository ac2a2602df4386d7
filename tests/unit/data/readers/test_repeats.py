"""Records that stand in files several times, and names that several files have: each is told of."""

from pathlib import Path

import pytest

from gram.data.annotations import make_clips
from gram.data.tables import read_rows
from tests.unit.data.readers.reading import read, texts, written

VIDEO = "abcdefghijk"
AUDIOCAPS = "audiocap_id,youtube_id,start_time,caption\n"
CLOTHO = "file_name," + ",".join(f"caption_{number}" for number in range(1, 6)) + "\n"
MSRVTT = {"video_id": "video1", "desc": "a dog"}
INFO = {
    "videos": [{"video_id": "video1", "split": "test"}] * 2,
    "sentences": [{"video_id": "video1", "caption": "a dog", "sen_id": one} for one in (1, 2, 2)],
}
MOMENT = {
    "annotation_id": 1,
    "description": "a dog",
    "video": "1@N00_2_ab.mov",
    "times": [[0, 0]],
}
STEP = {"id": 0, "segment": [3, 9], "sentence": "cut"}
LSMDC = "1012_Unbreakable_00.56.36.981-00.56.38.167\t0\t1\t2\t3\tHe sits.\n"
PICTURE = {
    "filename": "7.jpg",
    "split": "test",
    "sentences": [{"raw": "a dog"}, {"raw": "a dog"}],
}

REPEATS = {
    "msrvtt": ("msrvtt", "a.json", [MSRVTT, MSRVTT], 1, 1),
    "videodatainfo": ("msrvtt", "a.json", INFO, 2, 2),
    "audiocaps": (
        "audiocaps",
        "a.csv",
        f"{AUDIOCAPS}1,{VIDEO},3,x\n2,{VIDEO},3,x\n2,{VIDEO},3,x\n",
        2,
        1,
    ),
    "didemo": ("didemo", "a.json", [MOMENT, MOMENT | {"annotation_id": 2}, MOMENT], 1, 1),
    "activitynet": ("activitynet", "a.json", [{"video_id": f"v_{VIDEO}", "desc": "x"}] * 3, 1, 2),
    "a key": (
        "activitynet",
        "a.json",
        f'{{"v_{VIDEO}": {{"timestamps": [], "sentences": ["A."]}}, '
        f'"v_{VIDEO}": {{"timestamps": [], "sentences": ["A."]}}}}',
        1,
        1,
    ),
    "vatex": (
        "vatex",
        "a.json",
        [{"videoID": f"{VIDEO}_000001_000011", "enCap": ["x", "x"]}] * 2,
        2,
        1,
    ),
    "clotho": ("clotho", "a.csv", f"{CLOTHO}a.wav,1,1,3,4,5\n" + "a.wav,1,1,3,4,5\n", 5, 1),
    "lsmdc": ("lsmdc", "a.csv", LSMDC * 2, 1, 1),
    "vggsound": ("vggsound", "a.csv", f"{VIDEO}_000030.mp4,dog barking\n" * 2, 1, 1),
    "youcook2": (
        "youcook2",
        "a.json",
        {
            "database": {
                VIDEO: {"subset": "validation", "recipe_type": "1", "annotations": [STEP, STEP]}
            }
        },
        1,
        1,
    ),
    "flickr30k": ("flickr30k", "a.json", {"dataset": "flickr30k", "images": [PICTURE] * 2}, 2, 1),
    "vast": ("vast", "a.json", [{"clip_id": f"{VIDEO}.1", "vast_cap": "x"}] * 2, 1, 1),
    "valor32k": (
        "valor32k",
        "a.json",
        [{"video_id": f"{VIDEO}_0.000_9.000", "desc": "x"}] * 2,
        1,
        1,
    ),
}


@pytest.mark.parametrize(
    ("name", "file", "content", "captions", "repeated"), REPEATS.values(), ids=REPEATS
)
def test_a_repeated_record_is_left_out_and_counted(
    name: str, file: str, content: object, captions: int, repeated: int, tmp_path: Path
) -> None:
    rows, account = read(tmp_path, name, written(tmp_path / file, content))
    assert (len(rows), account.captions) == (1, captions)
    assert account.left_out == {"repeated records": repeated}


def test_a_row_beyond_the_captions_of_a_clip_is_a_repeat(tmp_path: Path) -> None:
    records = [MSRVTT | {"desc": f"caption {turn % 15}"} for turn in range(20)]
    file = written(tmp_path / "a.json", [*records, records[3], records[16]])
    rows, account = read(tmp_path, "msrvtt", file)
    assert rows[0]["captions"] == [record["desc"] for record in records]
    assert account.left_out == {"repeated records": 2}
    assert account.noted == {"captions that equal another one of their clip": 5}


def test_a_record_that_two_files_have_counts_once(tmp_path: Path) -> None:
    rows = [f"{number},{VIDEO},{number}0,a dog\n" for number in range(3)]
    train = written(tmp_path / "train.csv", AUDIOCAPS + rows[0] + rows[1])
    val = written(tmp_path / "val.csv", AUDIOCAPS + rows[1] + rows[2])
    _, account = read(tmp_path, "audiocaps", train, val, split="train")
    assert (account.clips, account.captions) == (3, 3)
    assert account.left_out == {"repeated records": 1}


def test_a_clip_with_another_content_in_another_file_is_an_error(tmp_path: Path) -> None:
    files = [
        written(tmp_path / f"{name}.csv", f"{AUDIOCAPS}{name},{VIDEO},30,a {name}\n")
        for name in ("train", "val")
    ]
    words = (
        rf"'{VIDEO}_30.000_40.000' stands in .*train.csv and in .*val.csv with different captions "
        "or times; give one of the files, or make the ids unique"
    )
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "audiocaps", *files, split="train")


def test_a_video_with_two_splits_is_an_error(tmp_path: Path) -> None:
    videos = [{"video_id": "video1", "split": split} for split in ("test", "train")]
    file = written(tmp_path / "a.json", INFO | {"videos": videos})
    with pytest.raises(
        ValueError, match=r"video 2 of .*: 'video1' is there a second time, with oth"
    ):
        read(tmp_path, "msrvtt", file)


def clotho(tmp_path: Path, part: str, *rows: str) -> Path:
    """Write a file of Clotho whose sounds have five captions, each a row and a number."""
    lines = [f"{row}.wav," + ",".join(f"{part} {row} {n}" for n in range(5)) for row in rows]
    return written(tmp_path / f"clotho_captions_{part}.csv", CLOTHO + "\n".join(lines) + "\n")


APART = ["a (development).wav", "b.wav", "a (validation).wav"]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_two_sounds_of_one_name_are_two_clips_in_any_order(
    is_reversed: bool, tmp_path: Path
) -> None:
    files = [clotho(tmp_path, "development", "a", "b"), clotho(tmp_path, "validation", "a")]
    rows, account = read(
        tmp_path, "clotho", *(files[::-1] if is_reversed else files), split="train"
    )
    assert sorted(row["clip_id"] for row in rows) == sorted(APART)
    assert {row["source_id"] for row in rows} == {name.removesuffix(".wav") for name in APART}
    assert texts(rows)["a (validation).wav"] == [f"validation a {n}" for n in range(5)]
    assert (account.captions, account.left_out) == (15, {})
    (what,) = account.noted
    assert account.noted[what] == 2
    assert "clips whose name another file has, too: by id and media file they are called" in what


def test_two_sounds_of_one_name_in_two_splits_are_two_clips(tmp_path: Path) -> None:
    files = [
        ("train", clotho(tmp_path, "development", "a", "b")),
        ("val", clotho(tmp_path, "validation", "a")),
    ]
    make_clips(files, tmp_path / "clips", format_name="clotho")
    assert [row["clip_id"] for row in read_rows(tmp_path / "clips")] == APART


def test_a_name_that_upstream_gives_two_sounds_is_told_of(tmp_path: Path) -> None:
    records = [{"video_id": "a.wav", "caption": f"caption {turn}"} for turn in range(10)]
    records += [{"video_id": "b.wav", "caption": f"caption {turn % 4}"} for turn in (*range(5), 1)]
    file = written(tmp_path / "descs_cap_trainval.json", records)
    rows, account = read(tmp_path, "clotho", file, split="train")
    assert [len(row["captions"]) for row in rows] == [10, 5]
    assert account.left_out == {"repeated records": 1}
    assert account.noted == {
        "captions that equal another one of their clip": 1,
        "clips with more than 5 captions: of several by one name": 1,
    }


CONTROLS = {
    "an id": (
        "clotho",
        "a.json",
        [{"video_id": "a\0.wav", "caption": "x"}],
        "record 1 of .*a.json: video_id",
    ),
    "a caption": (
        "msrvtt",
        "a.json",
        [MSRVTT | {"desc": ["x", "\x1f"]}],
        "record 1 of .*: desc holds",
    ),
    "a subtitle": (
        "msrvtt",
        "a.json",
        [MSRVTT | {"subtitle": "\x7f"}],
        "record 1 of .*: subtitle holds",
    ),
    "a row": ("audiocaps", "a.csv", f"{AUDIOCAPS}1,{VIDEO},3,x\0\n", "line 2 of .*a.csv holds"),
    "a list": ("clotho", "a.txt", "a.wav\nb\x01.wav\n", "line 2 of .*a.txt holds"),
    "a list of JSON": ("clotho", "a.json", ["a.wav", "b\x01.wav"], "id 2 of .*a.json: it holds"),
}


@pytest.mark.parametrize(("name", "file", "content", "words"), CONTROLS.values(), ids=CONTROLS)
def test_a_control_character_is_named_with_its_place(
    name: str, file: str, content: object, words: str, tmp_path: Path
) -> None:
    clips = [{"video_id": "a.wav", "caption": "x"}]
    others = (
        [written(tmp_path / "clips.json", clips)]
        if "list" in words or "id 2" in words or file.endswith("txt")
        else []
    )
    with pytest.raises(ValueError, match=rf"{words}.* the control character U\+00"):
        read(tmp_path, name, *others, written(tmp_path / file, content))


def test_breaks_of_lines_and_marks_of_other_encodings_are_kept(tmp_path: Path) -> None:
    text = "a dog\u0092s\tbowl\nand a cat"
    rows, _ = read(tmp_path, "msrvtt", written(tmp_path / "a.json", [MSRVTT | {"desc": text}]))
    assert rows[0]["captions"] == [text]
