import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gram.config import ShardsConfig
from gram.data import shard_index
from gram.data.shard_index import INDEX
from gram.data.shards import index_shards
from gram.data.status import Status
from gram.data.tables import EXTRACTION, read_rows
from gram.files import sha256_of
from tests.unit.data.made_shards import MadeClip, change, cut, join, pack_chunks, remove

CLIPS = (
    MadeClip(clip_id="all", captions=("one", "zwei ü"), subtitle="hello"),
    MadeClip(clip_id="silent", sound_seconds=None),
    MadeClip(clip_id="lost", status=Status.NOT_FOUND),
    MadeClip(clip_id="flat", depth_maps=None, subtitle=" "),
)


def manifest_of(index: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((index.parent / "manifest.json").read_text())
    return manifest


def many(number: int) -> list[MadeClip]:
    return [MadeClip(clip_id=f"clip{n}", frames=2, sound_seconds=0.1) for n in range(number)]


def test_the_index_of_all_shards_is_in_the_order_of_the_clips_table(tmp_path: Path) -> None:
    index = join(pack_chunks(tmp_path, many(7), chunks=3))
    assert [row["clip_id"] for row in read_rows(index)] == [f"clip{n}" for n in range(7)]


def test_each_row_names_the_shard_beside_the_index(tmp_path: Path) -> None:
    index = join(pack_chunks(tmp_path, many(3), chunks=2))
    assert [row["shard"] for row in read_rows(index)] == [
        "0000-000.tar",
        "0001-000.tar",
        "0000-000.tar",
    ]


def test_rows_are_joined_window_by_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_index, "WINDOW", 2)
    index = join(pack_chunks(tmp_path, many(7), chunks=3))
    assert [row["clip_id"] for row in read_rows(index)] == [f"clip{n}" for n in range(7)]


def test_the_rows_of_a_joined_index_are_those_of_its_chunks(tmp_path: Path) -> None:
    indexes = pack_chunks(tmp_path, CLIPS, chunks=2)
    chunks = [row for index in indexes for row in read_rows(index)]
    assert read_rows(join(indexes)) == sorted(chunks, key=lambda row: str(row["key"]))


def test_the_same_shards_give_the_same_index_and_manifest(tmp_path: Path) -> None:
    shards = pack_chunks(tmp_path, CLIPS, chunks=2)
    index = join(shards)
    first = index.read_bytes(), (index.parent / "manifest.json").read_bytes()
    join(shards)
    assert (index.read_bytes(), (index.parent / "manifest.json").read_bytes()) == first


def test_the_manifest_tells_samples_bytes_and_digest_of_each_shard(tmp_path: Path) -> None:
    indexes = pack_chunks(tmp_path, CLIPS, chunks=2)
    shards = [index.with_name(f"{index.stem}-000.tar") for index in indexes]
    assert manifest_of(join(indexes))["shards"] == [
        {
            "shard": shard.name,
            "samples": samples,
            "bytes": shard.stat().st_size,
            "sha256": sha256_of(shard),
        }
        for shard, samples in zip(shards, [1, 2], strict=True)
    ]


def test_the_manifest_counts_clips_of_a_split_by_what_they_have(tmp_path: Path) -> None:
    assert manifest_of(join(pack_chunks(tmp_path, CLIPS)))["splits"] == [
        {
            "split": "train",
            "clips": 4,
            "usable": 3,
            "video": 3,
            "audio": 2,
            "subtitle": 1,
            "depth": 2,
        }
    ]


def test_the_manifest_counts_each_split_over_all_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_index, "WINDOW", 2)
    clips = [MadeClip(clip_id=f"c{n}", split=split) for n, split in enumerate("babbc")]
    splits = manifest_of(join(pack_chunks(tmp_path, clips)))["splits"]
    assert [(counts["split"], counts["clips"]) for counts in splits] == [
        ("b", 3),
        ("a", 1),
        ("c", 1),
    ]


def test_the_manifest_counts_unusable_clips_by_status_and_stage(tmp_path: Path) -> None:
    assert manifest_of(join(pack_chunks(tmp_path, CLIPS)))["unusable"] == [
        {
            "status": "not_found",
            "stage": "probe",
            "clips": 1,
            "first_reasons": ["clip 'lost': lost is not_found"],
        }
    ]


def test_the_manifest_counts_depth_files(tmp_path: Path) -> None:
    manifest = manifest_of(join(pack_chunks(tmp_path, CLIPS)))
    assert manifest["depth"] == {"not_found": 1, "ok": 2}


def test_the_manifest_names_the_version_of_ffmpeg(tmp_path: Path) -> None:
    assert manifest_of(join(pack_chunks(tmp_path, CLIPS)))["ffmpeg_versions"] == ["5.1"]


def test_the_counts_are_logged_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shards = pack_chunks(tmp_path, CLIPS)
    with caplog.at_level(logging.INFO):
        join(shards)
    assert (
        "shards: 4 clips, 3 usable, 1 not_found (probe), 3 with video, 2 with audio, "
        "1 with subtitle, 2 with depth" in caplog.text
    )


DAMAGE = {
    cut: r"0001-000\.tar has \d+ bytes, it had \d+ when it was packed; what was left",
    change: r"0001-000\.tar has changed since it was packed, its SHA-256 is another one; what was",
    remove: r"0001-000\.tar is not there; what was left .* run the workflow again",
}
"""Ways to damage a shard, and what is said then."""


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    indexes = pack_chunks(tmp_path, CLIPS, chunks=2)
    damage(indexes[1].with_name("0001-000.tar"))
    with pytest.raises(ValueError, match=DAMAGE[damage]):
        join(indexes)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_removed_so_that_its_chunk_is_packed_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    indexes = pack_chunks(tmp_path, CLIPS, chunks=2)
    damage(indexes[1].with_name("0001-000.tar"))
    with pytest.raises(ValueError, match="packs that chunk anew"):
        join(indexes)
    left = sorted(path.name for path in indexes[0].parent.iterdir())
    assert left == ["0000-000.tar", "0000.parquet"]


def test_files_that_an_earlier_run_left_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    indexes = pack_chunks(tmp_path, CLIPS)
    indexes[0].with_name("0007-000.tar").write_bytes(b"")
    join(indexes)
    assert "1 files in" in caplog.text
    assert "are of no chunk, 0007-000.tar first" in caplog.text


def test_an_index_in_another_folder_is_refused(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, CLIPS)
    with pytest.raises(ValueError, match="a loader looks for shards beside it"):
        index_shards(
            ShardsConfig(),
            indexes=[index],
            output=tmp_path / "index.parquet",
            manifest=tmp_path / "manifest.json",
        )


def test_a_chunk_that_is_left_out_is_noticed(tmp_path: Path) -> None:
    shards = pack_chunks(tmp_path, many(5), chunks=2)
    with pytest.raises(ValueError, match="hold 3 clips, but not each of the rows 0 to 2"):
        join(shards[:1])


def test_a_data_set_without_usable_clips_is_refused(tmp_path: Path) -> None:
    lost = [MadeClip(clip_id=f"c{n}", status=Status.NOT_FOUND) for n in range(3)]
    said = r"3 of 3 clips of shards cannot be used, none is left .*3 not_found \(probe\).*'c0'"
    with pytest.raises(ValueError, match=said):
        join(pack_chunks(tmp_path, lost))


def test_a_data_set_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0 of 0 clips .*there is no clip"):
        join(pack_chunks(tmp_path, []))


def test_more_unusable_clips_than_allowed_are_refused_with_the_first_reasons(
    tmp_path: Path,
) -> None:
    clips = [*many(3), MadeClip(clip_id="cut", status=Status.TRUNCATED)]
    said = (
        r"1 of 4 clips .* more than the share of 0\.2 that shards\.max_skipped allows"
        r".*clip 'cut': cut is truncated.*raise shards\.max_skipped"
    )
    with pytest.raises(ValueError, match=said):
        join(pack_chunks(tmp_path, clips), ShardsConfig(max_skipped=0.2))


def test_as_many_unusable_clips_as_allowed_pass(tmp_path: Path) -> None:
    clips = [*many(3), MadeClip(clip_id="cut", status=Status.TRUNCATED)]
    index = join(pack_chunks(tmp_path, clips), ShardsConfig(max_skipped=0.25))
    assert len(read_rows(index)) == 4


def test_a_refused_data_set_leaves_no_index(tmp_path: Path) -> None:
    shards = pack_chunks(tmp_path, [MadeClip(clip_id="cut", status=Status.TRUNCATED)])
    with pytest.raises(ValueError, match="cannot be used"):
        join(shards)
    assert not (shards[0].parent / "index.parquet").exists()


def test_the_index_has_all_columns_of_extraction() -> None:
    assert INDEX.names[: len(EXTRACTION.names)] == EXTRACTION.names
