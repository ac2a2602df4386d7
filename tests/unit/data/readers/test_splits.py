"""Files that are of another split than they are given for, by their names or by themselves."""

from pathlib import Path

import pytest

from gram.data.annotations import make_clips
from gram.data.readers.splits import kind_of
from tests.unit.data.readers.reading import SAMPLES, needs_annotations, read, texts, written

VIDEO = "abcdefghijk"
VATEX = [{"videoID": f"{VIDEO}_000001_000011", "enCap": ["x"]}]
AUDIOCAPS = f"audiocap_id,youtube_id,start_time,caption\n1,{VIDEO},30,a dog\n"
MSRVTT = [{"video_id": "video1", "desc": "a dog"}]
ACTIVITYNET = {f"v_{VIDEO}": {"timestamps": [[0.5, 3]], "sentences": ["A dog."]}}

CONTRADICTIONS = [
    ("vatex", "vatex_validation_v1.0.json", VATEX, "test", "validation"),
    ("vatex", "vatex_training_v1.0.json", VATEX, "test", "training"),
    ("vatex", "vatex_validation_v1.0.json", VATEX, "train", "validation"),
    ("audiocaps", "test.csv", AUDIOCAPS, "train", "test"),
    ("audiocaps", "test.csv", AUDIOCAPS, "val", "test"),
    ("audiocaps", "train.csv", AUDIOCAPS, "validation", "training"),
    ("msrvtt", "descs_ret_test.json", MSRVTT, "train", "test"),
    ("msrvtt", "descs_ret_trainval.json", MSRVTT, "test_small", "training"),
    ("activitynet", "train.json", ACTIVITYNET, "test", "training"),
    ("activitynet", "val_1.json", ACTIVITYNET, "train", "validation"),
]


@pytest.mark.parametrize(("name", "file", "content", "split", "told"), CONTRADICTIONS)
def test_a_file_of_another_split_is_an_error(
    name: str, file: str, content: object, split: str, told: str, tmp_path: Path
) -> None:
    words = rf"the split '{split}' is given what is of {told} by its name: .*{file} .*; give the fi"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, name, written(tmp_path / file, content), split=split)


def test_the_validation_of_vatex_without_its_list_is_told_of(tmp_path: Path) -> None:
    file = written(tmp_path / "vatex_validation_v1.0.json", VATEX)
    with pytest.raises(ValueError, match=r"with the HGR test list \(test_list.txt\)"):
        read(tmp_path, "vatex", file)


@pytest.mark.parametrize(
    ("name", "file", "content", "split", "told"),
    [
        ("activitynet", "val_1.json", ACTIVITYNET, "test", ", of validation by its name"),
        ("vatex", "vatex_validation_v1.0.json", VATEX, "val", ", of validation by its name"),
        ("vatex", "vatex_validation_v1.0.json", VATEX, "mine", ", of validation by its name"),
        ("vatex", "vatex.json", VATEX, "train", "the official captions"),
        ("audiocaps", "test.csv", AUDIOCAPS, "test", ", of test by its name"),
    ],
)
def test_the_account_says_of_which_split_a_file_is(
    name: str, file: str, content: object, split: str, told: str, tmp_path: Path
) -> None:
    _, account = read(tmp_path, name, written(tmp_path / file, content), split=split)
    (form,) = account.forms
    assert form.endswith(told)


@pytest.mark.parametrize(
    ("name", "file", "content", "split"),
    [
        ("msrvtt", "descs_ret_train.json", MSRVTT, "train"),
        ("vatex", "vatex_validation_v1.0.json", VATEX, "val"),
        ("activitynet", "val_1.json", ACTIVITYNET, "test"),
        ("msrvtt", "a.json", MSRVTT, "test"),
    ],
)
def test_the_split_is_told_by_the_name_where_none_is_given(
    name: str, file: str, content: object, split: str, tmp_path: Path
) -> None:
    files = [(None, written(tmp_path / file, content))]
    (account,) = make_clips(files, tmp_path / "clips", format_name=name)
    assert account.split == split


def test_a_list_tells_the_split_where_none_is_given(tmp_path: Path) -> None:
    files = [
        (None, written(tmp_path / "vatex_validation_v1.0.json", VATEX)),
        (None, written(tmp_path / "test_list.txt", f"{VIDEO}_000001_000011\n")),
    ]
    (account,) = make_clips(files, tmp_path / "clips", format_name="vatex")
    assert account.split == "test"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("train_test", None), ("trainval", "training"), ("MSRVTT_JSFUSION_test", "test"), ("a", None)],
)
def test_the_words_of_a_name_tell_the_kind_of_split(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


# --- YouCook2 in the form of ActivityNet Captions --------------------------------------------

STEPS = {
    f"v_{VIDEO}": {
        "duration": 99.5,
        "timestamps": [[0, 9], [12, 20], [25, 40]],
        "sentences": ["cut the bread", "spread butter on it", "eat"],
    }
}


def test_the_steps_of_youcook2_are_not_those_of_activitynet(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", STEPS)
    with pytest.raises(
        ValueError, match=r"no annotation file of Act.*, which looks like YouCook2;"
    ):
        read(tmp_path, "activitynet", file)


def test_the_steps_of_youcook2_are_read_in_either_form(tmp_path: Path) -> None:
    rows, account = read(tmp_path, "youcook2", written(tmp_path / "yc2_val.json", STEPS))
    assert texts(rows) == {
        f"{VIDEO}_0_9": ["cut the bread"],
        f"{VIDEO}_12_20": ["spread butter on it"],
        f"{VIDEO}_25_40": ["eat"],
    }
    assert account.forms == (
        "yc2_val.json: the official steps in PDVC's form, of validation by its name",
    )


@pytest.mark.parametrize(
    ("times", "sentences"),
    [
        ([[0, 9], [12, 20.5], [25, 40]], ["a", "b", "c"]),
        ([[0, 9], [12, 20], [25, 40]], ["a", "b", "He jumps."]),
        ([[0, 9]], ["a dog"]),
    ],
    ids=["fractions", "a sentence", "one step"],
)
def test_sentences_of_activitynet_are_not_taken_for_steps(
    times: list[list[float]], sentences: list[str], tmp_path: Path
) -> None:
    video = {"duration": 50, "timestamps": times, "sentences": sentences}
    file = written(tmp_path / "a.json", {f"v_{VIDEO}": video})
    assert read(tmp_path, "activitynet", file)[1].clips == 1


def test_the_test_of_youcook2_has_no_captions(tmp_path: Path) -> None:
    video = {"duration": 50, "timestamps": [[0, 50]], "sentences": ["None"]}
    file = written(tmp_path / "yc2_test.json", {f"v_{VIDEO}": video})
    with pytest.raises(
        ValueError, match=r"has no captions: those of YouCook2's test are not given"
    ):
        read(tmp_path, "youcook2", file)
    with pytest.raises(ValueError, match="which looks like YouCook2"):
        read(tmp_path, "activitynet", file)


@needs_annotations
@pytest.mark.parametrize(("part", "steps"), [("train", 10), ("val", 16)])
def test_the_real_steps_are_recognized(part: str, steps: int, tmp_path: Path) -> None:
    file = SAMPLES / f"youcook2/derived_pdvc_yc2_{part}.json"
    _, account = read(tmp_path, "youcook2", file, split=part)
    assert account.captions == steps
    with pytest.raises(ValueError, match="which looks like YouCook2"):
        read(tmp_path, "activitynet", file, split=part)


# --- ids of another form ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["7020", "msr7020", 7020])
def test_an_id_that_is_none_of_msrvtt_is_named(name: str | int, tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", [{"video_id": name, "desc": "a dog"}])
    words = rf"keys video_id, desc, whose id '{name}' is not one like 'video7020'; give upstream"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", file)


def test_an_id_that_is_none_of_msrvtt_is_named_in_its_lists(tmp_path: Path) -> None:
    rows = "key,vid_key,video_id,sentence\nret0,msr7020,7020,a dog\n"
    file = written(tmp_path / "MSRVTT_JSFUSION_test.csv", rows)
    with pytest.raises(ValueError, match=r"line 2 of .*: '7020' is not an id like 'video7020'"):
        read(tmp_path, "msrvtt", file)
