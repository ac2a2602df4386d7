from pathlib import Path

import pytest

from gram.data.clip_index import COLUMNS, Selection, read_index, select_clips
from gram.data.status import Status
from gram.types import ITEM_MODALITIES, Modality
from tests.unit.data.made_datasets import MIXED
from tests.unit.data.made_shards import MadeClip, make_index

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of clips that lack this and that."""
    return make_index(tmp_path_factory.mktemp("mixed"), MIXED, chunks=2)


def selected(index: Path, missing: str, *modalities: Modality) -> Selection:
    table = read_index(index)
    if missing == "drop":
        return select_clips(table, split="train", modalities=modalities, missing="drop")
    return select_clips(table, split="train", modalities=modalities, missing="mask")


def counts(index: Path, missing: str, *modalities: Modality) -> dict[str, int]:
    return selected(index, missing, *modalities).counts


def used(index: Path, missing: str, *modalities: Modality) -> list[str]:
    return selected(index, missing, *modalities).rows["clip_id"].to_pylist()


def test_dropping_leaves_out_clips_that_lack_a_modality(mixed: Path) -> None:
    assert used(mixed, "drop", VIDEO, AUDIO, DEPTH) == ["whole", "wordless"]


def test_dropping_keeps_a_clip_without_a_subtitle(mixed: Path) -> None:
    assert used(mixed, "drop", VIDEO, SUBTITLE) == ["whole", "silent", "flat", "wordless", "bare"]


def test_masking_keeps_clips_that_lack_a_modality(mixed: Path) -> None:
    clips = used(mixed, "mask", VIDEO, AUDIO, SUBTITLE, DEPTH)
    assert clips == ["whole", "silent", "flat", "wordless", "bare"]


def test_dropped_clips_are_counted_once_each(mixed: Path) -> None:
    assert counts(mixed, "drop", VIDEO, AUDIO, SUBTITLE, DEPTH) == {
        "rows": 7,
        "unusable": 2,
        "without audio": 2,
        "without depth": 1,
        "used": 2,
    }


def test_the_counts_of_dropping_add_up(mixed: Path) -> None:
    found = counts(mixed, "drop", VIDEO, AUDIO, DEPTH)
    assert found.pop("rows") == sum(found.values())


def test_masked_clips_are_used_and_counted_by_what_they_lack(mixed: Path) -> None:
    assert counts(mixed, "mask", VIDEO, AUDIO, SUBTITLE, DEPTH) == {
        "rows": 7,
        "unusable": 2,
        "used": 5,
        "used without audio": 2,
        "used without subtitle": 2,
        "used without depth": 2,
    }


def test_a_clip_without_any_modality_of_the_run_is_left_out_under_mask(mixed: Path) -> None:
    assert counts(mixed, "mask", AUDIO, DEPTH) == {
        "rows": 7,
        "unusable": 2,
        "without any modality": 1,
        "used": 4,
        "used without audio": 1,
        "used without depth": 1,
    }


def test_a_clip_without_any_modality_of_the_run_is_left_out_under_drop(mixed: Path) -> None:
    assert counts(mixed, "drop", SUBTITLE) == {
        "rows": 7,
        "unusable": 2,
        "without any modality": 2,
        "used": 3,
    }


def test_selected_rows_keep_the_order_of_the_clips_table(mixed: Path) -> None:
    usable = [clip.clip_id for clip in MIXED if clip.status is Status.OK and clip.split == "train"]
    assert used(mixed, "drop", VIDEO) == usable


def test_only_what_a_loader_needs_is_read(mixed: Path) -> None:
    assert read_index(mixed).column_names == COLUMNS


def test_an_unknown_split_is_named_with_those_there_are(mixed: Path) -> None:
    with pytest.raises(ValueError, match="no clip of the split 'val'; it has: test, train"):
        select_clips(read_index(mixed), split="val", modalities=[VIDEO], missing="drop")


def test_an_empty_selection_names_counts_and_what_to_do(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeClip(clip_id="a", sound_seconds=None)])
    said = (
        r"no clip of the split 'train' is left \(rows 1, unusable 0, without audio 1, used 0\)"
        r".*set inputs\.missing to mask"
    )
    with pytest.raises(ValueError, match=said):
        select_clips(read_index(index), split="train", modalities=[AUDIO], missing="drop")


def test_an_absent_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no index of shards at .*index\.parquet"):
        read_index(tmp_path / "index.parquet")
