"""What is read of the data sets' own files: counts, texts, and both forms alike."""

from pathlib import Path

import pytest

from gram.data.annotations import make_clips
from gram.data.readers import FORMATS
from gram.data.readers.files import read_file
from gram.data.tables import Row, read_rows
from tests.unit.data.readers.reading import (
    SAMPLES,
    UPSTREAM,
    loaded,
    needs_annotations,
    read,
    texts,
    written,
)

pytestmark = needs_annotations

COUNTS = [
    ("msrvtt", "msrvtt/descs_ret_test.json", 1000, 1000, 762),
    ("msrvtt", "msrvtt/descs_ret_test_audcap_with_audio_captions.json", 1000, 1000, 762),
    ("msrvtt", "msrvtt/unique_descs_ret_train.json", 9000, 9000, 6891),
    ("didemo", "didemo/descs_ret_test.json", 1003, 1003, 0),
    ("didemo", "didemo/descs_ret_train.json", 8363, 8363, 0),
    ("activitynet", "activitynet/descs_ret_test.json", 4917, 4917, 0),
    ("activitynet", "activitynet/descs_ret_train.json", 10009, 10009, 0),
    ("vatex", "vatex/descs_ret_test.json", 1500, 15000, 741),
    ("audiocaps", "audiocaps/descs_ret_test.json", 729, 3645, 0),
    ("audiocaps", "audiocaps/descs_cap_test.json", 860, 4300, 0),
    ("youcook2", "youcook/descs_cap_test.json", 3216, 3216, 3000),
]


def split_of(file: str) -> str:
    """Name the split of a file of the data sets."""
    return "train" if "train" in file.split("/")[-1] else "test"


@pytest.mark.parametrize(("name", "file", "clips", "captions", "subtitles"), COUNTS)
def test_an_upstream_file_gives_all_of_its_clips(
    name: str, file: str, clips: int, captions: int, subtitles: int, tmp_path: Path
) -> None:
    _, account = read(tmp_path, name, UPSTREAM / file, split=split_of(file))
    assert (account.clips, account.captions, account.subtitles) == (clips, captions, subtitles)
    assert account.left_out == {}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, file, *_ in COUNTS])
def test_an_upstream_text_is_taken_byte_for_byte(name: str, file: str, tmp_path: Path) -> None:
    rows, _ = read(tmp_path, name, UPSTREAM / file, split=split_of(file))
    key = "caption" if name == "audiocaps" else "desc"
    expected = [
        (one["video_id"], one[key] if isinstance(one[key], list) else [one[key]])
        for one in loaded(UPSTREAM / file)
    ]
    assert [(row["clip_id"], row["captions"]) for row in rows] == expected


@pytest.mark.parametrize("name", ["msrvtt", "vatex", "youcook"])
def test_subtitles_are_taken_untrimmed(name: str, tmp_path: Path) -> None:
    (file,) = (UPSTREAM / name).glob("descs_???_test.json")
    rows, _ = read(tmp_path, name.replace("youcook", "youcook2"), file)
    assert [row["subtitle"] for row in rows] == [one["subtitle"] for one in loaded(file)]
    assert any(row["subtitle"].startswith(" ") for row in rows)


def test_ids_are_unique_over_the_splits_of_a_data_set(tmp_path: Path) -> None:
    files = [(split, UPSTREAM / f"didemo/descs_ret_{split}.json") for split in ("train", "test")]
    train, test = make_clips(files, tmp_path / "clips.parquet", format_name="didemo")
    assert (train.split, train.clips, test.split, test.clips) == ("train", 8363, "test", 1003)


SMALL = [
    ("flickr30k", "flickr30k/upstream_descs_ret_test.json", 6, 30),
    ("lsmdc", "lsmdc/upstream_descs_ret_test.shape.json", 6, 6),
    ("valor32k", "valor32k/upstream_descs_cap_test.json", 10, 10),
    ("vast", "vast27m/upstream_vast27m_records.json", 10, 10),
    ("clotho", "clothov2/upstream_descs_cap_test.json", 4, 20),
    ("clotho", "clothov2/upstream_descs_cap_trainval.json", 2, 10),
    ("msrvtt", "msrvtt/upstream_descs_cap_test.json", 2, 40),
    ("vatex", "vatex/official_vatex_two_records.jsonl", 2, 20),
    ("audiocaps", "audiocaps/official_train.csv", 8, 8),
    ("vggsound", "vggsound/official_test.csv", 16, 16),
    ("vggsound", "vggsound/official_AStest.csv", 6, 6),
]


@pytest.mark.parametrize(("name", "file", "clips", "captions"), SMALL)
def test_a_sample_gives_all_of_its_clips(
    name: str, file: str, clips: int, captions: int, tmp_path: Path
) -> None:
    _, account = read(tmp_path, name, SAMPLES / file, split=split_of(file))
    assert (account.clips, account.captions) == (clips, captions)


BOTH = [
    ("didemo", "official_test_data.json", "upstream_descs_ret_test.json"),
    ("activitynet", "official_val_1.json", "upstream_descs_ret_test.json"),
    ("activitynet", "official_train.json", "upstream_descs_ret_train.json"),
    ("audiocaps", "official_test.csv", "upstream_descs_cap_test.json"),
    ("msrvtt", "official_1kA_MSRVTT_JSFUSION_test.csv", "upstream_descs_ret_test.json"),
    ("clothov2", "official_clotho_captions_evaluation.csv", "upstream_descs_cap_test.json"),
    ("clothov2", "official_clotho_captions_development.csv", "upstream_descs_cap_trainval.json"),
]


@pytest.mark.parametrize(("folder", "official", "upstream"), BOTH)
def test_the_official_file_gives_the_clips_of_upstreams(
    folder: str, official: str, upstream: str, tmp_path: Path
) -> None:
    name = "clotho" if folder == "clothov2" else folder
    split = split_of(upstream)
    ours, account = read(tmp_path, name, SAMPLES / folder / official, split=split)
    theirs, _ = read(tmp_path, name, SAMPLES / folder / upstream, split=split)
    assert theirs
    kept = [row for row in ours if row["clip_id"] in texts(theirs)]
    assert sorted(map(bare, kept)) == sorted(map(bare, theirs))
    assert "official" in account.forms[0] or "1k-A" in account.forms[0]


def bare(row: Row) -> str:
    """Give all of a clip but its number and its subtitle, which official files do not have."""
    return repr({name: row[name] for name in row if name not in ("key", "subtitle")})


def test_a_paragraph_of_activitynet_keeps_its_blanks_and_its_order(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "activitynet", SAMPLES / "activitynet/official_val_1.json")
    assert "is given.   The coach" in rows[0]["captions"][0]


def test_the_official_steps_of_youcook2_are_upstreams(tmp_path: Path) -> None:
    ours, _ = read(tmp_path, "youcook2", SAMPLES / "youcook2/official_trainval_one_record.json")
    theirs, _ = read(tmp_path, "youcook2", UPSTREAM / "youcook/descs_cap_test.json")
    assert len(ours) == 6
    assert texts(ours).items() <= texts(theirs).items()


def test_the_729_clips_of_audiocaps_are_those_that_vggsound_does_not_train_on(
    tmp_path: Path,
) -> None:
    all_860 = loaded(UPSTREAM / "audiocaps/descs_cap_test.json")
    kept_729 = loaded(UPSTREAM / "audiocaps/descs_ret_test.json")
    left_out = {one["video_id"][:11] for one in all_860} - {
        one["video_id"][:11] for one in kept_729
    }
    lines = [f"{video},30,dog barking,train\n" for video in sorted(left_out)]
    lines += [f"{one['video_id'][:11]},30,dog barking,test\n" for one in kept_729]
    vggsound = written(tmp_path / "vggsound.csv", "".join(lines))
    rows, account = read(
        tmp_path, "audiocaps", UPSTREAM / "audiocaps/descs_cap_test.json", vggsound
    )
    assert [row["clip_id"] for row in rows] == [one["video_id"] for one in kept_729]
    assert account.left_out == {"clips in VGGSound's training list": 131}


LISTS = [
    ("vatex", "split_hgr_test_list.txt", "descs_ret_test.json", 1500),
    ("activitynet", "split_val_1_list.txt", "descs_ret_test.json", 4917),
    ("activitynet", "split_train_list.txt", "descs_ret_train.json", 10009),
    ("didemo", "split_test_list.txt", "descs_ret_test.json", 1003),
]


@pytest.mark.parametrize(("name", "listed", "file", "clips"), LISTS)
def test_a_list_of_others_names_the_clips_of_upstream(
    name: str, listed: str, file: str, clips: int, tmp_path: Path
) -> None:
    files = (UPSTREAM / name / file, SAMPLES / name / listed)
    _, account = read(tmp_path, name, *files, split=split_of(file))
    assert account.clips == 10
    assert account.left_out == {"clips that no list names": clips - 10}


def test_a_file_of_another_data_set_is_named(tmp_path: Path) -> None:
    file = UPSTREAM / "audiocaps/descs_ret_test.json"
    words = (
        r"descs_ret_test.json is no annotation file of MSR-VTT that is known: found a list of 729, "
        r"the first an object with the keys video_id, caption, which looks like AudioCaps; give"
    )
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "msrvtt", file)


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, file, *_ in COUNTS])
def test_an_upstream_file_is_of_one_data_set_only(name: str, file: str) -> None:
    content = read_file(UPSTREAM / file)
    forms = {name: (*one.clips, *one.lists) for name, one in FORMATS.items()}
    assert [one for one in forms if any(form.fits(content) for form in forms[one])] == [name]


SCORERS = ["activitynet/upstream_capanno.json", "valor32k/upstream_caption_annotation.json"]


@pytest.mark.parametrize("file", SCORERS)
def test_captions_for_a_scorer_are_named_as_such(file: str, tmp_path: Path) -> None:
    words = "one JSON object with the keys 'annotations', as scorers of captions read them"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, file.split("/")[0], SAMPLES / file)


def test_the_same_table_comes_of_the_same_files(tmp_path: Path) -> None:
    file = UPSTREAM / "vatex/descs_ret_test.json"
    for name in ("one", "two"):
        make_clips([("test", file)], tmp_path / name, format_name="vatex")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert len(read_rows(tmp_path / "one")) == 1500
