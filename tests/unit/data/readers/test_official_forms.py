"""Official files in their documented forms, written by the tests: what becomes of their records."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.readers.reading import read, texts, written

VIDEO = "abcdefghij"
"""Ten of the eleven characters of a YouTube id."""


def test_sentences_of_activitynet_keep_the_order_of_the_file(tmp_path: Path) -> None:
    video = {
        "duration": 55.15,
        "timestamps": [[13.0, 54.0], [0.28, 5.0]],
        "sentences": ["Late.", "  Early. "],
    }
    file = written(tmp_path / "val_1.json", {f"v_{VIDEO}0": video})
    assert texts(read(tmp_path, "activitynet", file)[0]) == {f"v_{VIDEO}0": ["Late.   Early. "]}


def test_sentences_that_are_no_list_are_named(tmp_path: Path) -> None:
    content = {f"v_{VIDEO}0": {"timestamps": [], "sentences": "x"}}
    with pytest.raises(ValueError, match=f"video 'v_{VIDEO}0' of .*: sentences is a string, where"):
        read(tmp_path, "activitynet", written(tmp_path / "a.json", content))


def vatex(number: int) -> dict[str, Any]:
    english = [f"caption {turn} of {number}" for turn in range(10)]
    return {
        "videoID": f"{VIDEO}{number}_000047_000057",
        "enCap": english,
        "chCap": ["一个人"] * 10,
    }


def test_the_test_of_vatex_is_the_listed_part_of_the_validation(tmp_path: Path) -> None:
    file = written(tmp_path / "vatex_validation_v1.0.json", [vatex(0), vatex(1), vatex(2)])
    listed = written(tmp_path / "test_list.txt", f"{VIDEO}2_000047_000057\n")
    rows, account = read(tmp_path, "vatex", file, listed)
    assert texts(rows) == {f"{VIDEO}2_000047_000057": vatex(2)["enCap"]}
    assert account.left_out == {"clips that no list names": 2}


def test_a_clip_of_vatex_that_is_there_twice_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [vatex(0), vatex(0) | {"enCap": ["another"]}])
    with pytest.raises(ValueError, match="1 clip ids occur more than once"):
        read(tmp_path, "vatex", file)


AUDIOCAPS = "audiocap_id,youtube_id,start_time,caption\n"


def test_rows_of_audiocaps_are_captions_of_ten_seconds(tmp_path: Path) -> None:
    lines = [
        f'{turn},-_cdefghij{clip},{30 * clip},"one, {turn}"\n'
        for turn in range(5)
        for clip in (0, 1)
    ]
    rows, account = read(
        tmp_path, "audiocaps", written(tmp_path / "test.csv", AUDIOCAPS + "".join(lines))
    )
    assert [row["clip_id"] for row in rows] == [
        "-_cdefghij0_0.000_10.000",
        "-_cdefghij1_30.000_40.000",
    ]
    assert [row["source_id"] for row in rows] == ["-_cdefghij0_0", "-_cdefghij1_30"]
    assert rows[1]["captions"] == [f"one, {turn}" for turn in range(5)]
    assert account.captions == 10


def test_a_split_of_vggsound_is_its_training_list_for_audiocaps(tmp_path: Path) -> None:
    lines = "".join(f"1,{VIDEO}{clip},30,caption\n" for clip in (0, 1))
    test = written(tmp_path / "test.csv", AUDIOCAPS + lines)
    train = written(tmp_path / "train.csv", f"{VIDEO}1_000200.mp4,dog barking\n")
    rows, account = read(tmp_path, "audiocaps", test, train)
    assert list(texts(rows)) == [f"{VIDEO}0_30.000_40.000"]
    assert account.left_out == {"clips in VGGSound's training list": 1}


VGGSOUND = f'{VIDEO}0,1,"bee, wasp, etc. buzzing",test\n{VIDEO}1,30,dog barking,train\n'


def test_a_clip_of_vggsound_has_its_class_as_text_and_label(tmp_path: Path) -> None:
    rows, account = read(tmp_path, "vggsound", written(tmp_path / "vggsound.csv", VGGSOUND))
    (row,) = rows
    assert row["clip_id"] == row["source_id"] == f"{VIDEO}0_000001"
    assert row["captions"] == ["bee, wasp, etc. buzzing"]
    assert row["label"] == "bee, wasp, etc. buzzing"
    assert account.left_out == {"clips of the official split 'train'": 1}


def test_all_forms_of_vggsound_give_the_same_clips(tmp_path: Path) -> None:
    record = {"video_id": f"{VIDEO}0_000001", "desc": "bee, wasp, etc. buzzing"}
    files = [
        written(tmp_path / "vggsound.csv", VGGSOUND),
        written(tmp_path / "test.csv", f'{VIDEO}0_000001.mp4,"bee, wasp, etc. buzzing"\n'),
        written(tmp_path / "test.json", [record]),
    ]
    first, second, third = (read(tmp_path, "vggsound", file)[0] for file in files)
    assert first == second == third


def test_a_list_says_which_clips_of_vggsound_count(tmp_path: Path) -> None:
    lines = "".join(f"{VIDEO}{clip}_000030.mp4,dog barking\n" for clip in range(4))
    file = written(tmp_path / "test.csv", lines)
    listed = written(tmp_path / "five_thousand.txt", f"{VIDEO}3_000030\n{VIDEO}0_000030.mp4\n")
    rows, _ = read(tmp_path, "vggsound", file, listed)
    assert list(texts(rows)) == [f"{VIDEO}0_000030", f"{VIDEO}3_000030"]


def youcook2() -> dict[str, Any]:
    def video(subset: str, *segments: list[int]) -> dict[str, Any]:
        steps = [
            {"id": number, "segment": segment, "sentence": f"step {number} "}
            for number, segment in enumerate(segments)
        ]
        return {"duration": 241.6, "subset": subset, "recipe_type": "212", "annotations": steps}

    return {
        "database": {
            f"{VIDEO}0": video("training", [0, 12]),
            f"{VIDEO}1": video("validation", [25, 37], [37, 50]),
        }
    }


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", {f"{VIDEO}0_0_12": ["step 0 "]}),
        ("test", {f"{VIDEO}1_25_37": ["step 0 "], f"{VIDEO}1_37_50": ["step 1 "]}),
        ("val", {f"{VIDEO}1_25_37": ["step 0 "], f"{VIDEO}1_37_50": ["step 1 "]}),
    ],
)
def test_steps_of_youcook2_are_clips(
    split: str, expected: dict[str, list[str]], tmp_path: Path
) -> None:
    file = written(tmp_path / "youcookii_annotations_trainval.json", youcook2())
    assert texts(read(tmp_path, "youcook2", file, split=split)[0]) == expected


def test_a_step_without_a_segment_is_named(tmp_path: Path) -> None:
    content = youcook2()
    content["database"][f"{VIDEO}1"]["annotations"][1]["segment"] = [3]
    words = rf"annotation 2 of video '{VIDEO}1' of .* has no segment of two times \(found \[3\]\)"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "youcook2", written(tmp_path / "a.json", content))


CLIP = "1012_Unbreakable_00.56.36.981-00.56.38.167"


def test_lines_of_lsmdc_are_captions(tmp_path: Path) -> None:
    cells = ["0", "1", "2", "3"]
    lines = ["\t".join([CLIP, *cells, text]) for text in ('He says "no.', "SOMEONE, leaves.")]
    file = written(tmp_path / "LSMDC16_annos_training.csv", "\n".join(lines) + "\n")
    rows, account = read(tmp_path, "lsmdc", file, split="train")
    assert texts(rows) == {CLIP: ['He says "no.', "SOMEONE, leaves."]}
    assert account.forms == (
        "LSMDC16_annos_training.csv: the official annotations, of training by its name",
    )


def test_captions_of_valor_are_those_of_the_listed_ids(tmp_path: Path) -> None:
    clips = [f"{VIDEO}{number}_20.000_30.000" for number in range(3)]
    mapper = written(tmp_path / "txt_mapper.json", {name: [f"a {name}"] for name in clips})
    for listed in (
        written(tmp_path / "ids.json", clips[1:]),
        written(tmp_path / "ids.txt", "\n".join(clips[1:])),
    ):
        rows, account = read(tmp_path, "valor32k", mapper, listed)
        assert texts(rows) == {name: [f"a {name}"] for name in clips[1:]}
        assert account.left_out == {"clips that no list names": 1}


def test_development_and_validation_of_clotho_make_up_one_split(tmp_path: Path) -> None:
    header = "file_name," + ",".join(f"caption_{number}" for number in range(1, 6)) + "\n"
    one = written(
        tmp_path / "clotho_captions_development.csv",
        f'{header}a b.wav,1,2,3,4,"5, 5"\nc.wav,1,2,3,4,5\n',
    )
    two = written(tmp_path / "clotho_captions_validation.csv", f"{header}d.wav,6,7,8,9,10\n")
    rows, account = read(tmp_path, "clotho", one, two, split="train")
    assert (account.clips, account.captions, account.noted) == (3, 15, {})
    assert rows[0]["captions"] == ["1", "2", "3", "4", "5, 5"]
    assert (rows[0]["clip_id"], rows[0]["source_id"]) == ("a b.wav", "a b")


def karpathy(name: str, *splits: str) -> dict[str, Any]:
    images = []
    for number, split in enumerate(splits):
        sentences = [
            {
                "tokens": ["a"],
                "raw": f"Caption {turn}, of {number}.",
                "imgid": number,
                "sentid": turn,
            }
            for turn in range(5)
        ]
        image = {"imgid": number, "sentids": [0], "sentences": sentences, "split": split}
        if name == "coco":
            image |= {
                "filepath": "val2014",
                "filename": f"COCO_val2014_{number:012}.jpg",
                "cocoid": 1,
            }
        else:
            image |= {"filename": f"100{number}.jpg"}
        images.append(image)
    return {"dataset": name, "images": images}


def test_pictures_of_flickr30k_are_named_as_upstream_names_them(tmp_path: Path) -> None:
    file = written(tmp_path / "dataset_flickr30k.json", karpathy("flickr30k", "train", "test"))
    rows, account = read(tmp_path, "flickr30k", file)
    assert texts(rows) == {"flickr30k-images/1001.jpg": [f"Caption {n}, of 1." for n in range(5)]}
    assert rows[0]["source_id"] == "1001"
    assert account.left_out == {"clips of the official split 'train'": 1}


def test_coco_trains_on_restval_too(tmp_path: Path) -> None:
    file = written(tmp_path / "dataset_coco.json", karpathy("coco", "train", "restval", "val"))
    rows, account = read(tmp_path, "mscoco", file, split="train")
    assert [row["clip_id"] for row in rows] == [
        "val2014/COCO_val2014_000000000000.jpg",
        "val2014/COCO_val2014_000000000001.jpg",
    ]
    assert account.left_out == {"clips of the official split 'val'": 1}


def test_rows_of_lavis_are_captions_of_a_picture(tmp_path: Path) -> None:
    image = "val2014/COCO_val2014_000000522418.jpg"
    flat = [{"caption": text, "image": image, "image_id": "coco_522418"} for text in ("a", "b")]
    whole = [{"image": image, "caption": ["a", "b"]}]
    for records in (flat, whole):
        rows, _ = read(tmp_path, "mscoco", written(tmp_path / "coco.json", records))
        assert texts(rows) == {image: ["a", "b"]}
        assert rows[0]["source_id"] == "COCO_val2014_000000522418"


def test_the_file_of_one_picture_set_is_not_that_of_the_other(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", karpathy("coco", "test"))
    with pytest.raises(ValueError, match=r"no annotation file of Flickr30k .* looks like MS-COCO;"):
        read(tmp_path, "flickr30k", file)


def test_a_clip_of_vast_is_a_file_of_its_own(tmp_path: Path) -> None:
    record = {
        "clip_id": f"{VIDEO}-.15",
        "clip_span": ["00:03:00.879", "00:03:10.269"],
        "url": "https://www.youtube.com/watch?v=x",
        "vision_cap": ["a"],
        "audio_cap": ["b"],
        "subtitle": "Hello",
        "vast_cap": "A boy is talking.",
    }
    (row,) = read(tmp_path, "vast", written(tmp_path / "annotations150k.json", [record]))[0]
    assert row["clip_id"] == row["source_id"] == f"{VIDEO}-.15"
    assert (row["start_seconds"], row["end_seconds"]) == (None, None)
    assert (row["captions"], row["subtitle"]) == (["A boy is talking."], "Hello")
