import dataclasses
import io
import json
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
import soundfile
import webdataset

from gram.data.manifest import chunk_index
from gram.data.shard_index import INDEX, shards_of_chunk
from gram.data.shard_writer import ShardWriter
from gram.data.status import Status
from gram.data.tables import Row, read_rows, write_rows
from gram.data.tars import Archive, add_member, open_archive
from gram.files import sha256_of
from tests.unit.data.made_shards import (
    MadeClip,
    frame_jpeg,
    pack,
    pack_chunks,
    tone,
    write_inputs,
)

CLIPS = (
    MadeClip(clip_id="all", captions=("one", "zwei ü"), subtitle="hello"),
    MadeClip(clip_id="silent", sound_seconds=None),
    MadeClip(clip_id="lost", status=Status.NOT_FOUND),
    MadeClip(clip_id="flat", depth_maps=None, subtitle=" "),
)


def packed(folder: Path, clips: Sequence[MadeClip] = CLIPS) -> Path:
    """Pack clips into one shard."""
    (index,) = pack_chunks(folder, clips)
    return index.with_name("0000-000.tar")


def rows_of(shard: Path) -> dict[str, Row]:
    return {row["clip_id"]: row for row in read_rows(chunk_index(shard))}


def tars_of(index: Path) -> list[str]:
    """Name the tars beside an index."""
    return sorted(path.name for path in index.parent.glob("*.tar"))


def member(shard: Path, row: Row, kind: str) -> bytes:
    """Cut a member out of a shard at the place that the index names."""
    content = shard.read_bytes()
    return content[row[f"{kind}_offset"] : row[f"{kind}_offset"] + row[f"{kind}_size"]]


def samples_of(shard: Path) -> list[dict[str, Any]]:
    """Read a shard as webdataset does."""
    return list(webdataset.WebDataset(str(shard), shardshuffle=False))


# --- a shard ---------------------------------------------------------------------------------


def test_webdataset_reads_the_usable_clips_in_order(tmp_path: Path) -> None:
    keys = [sample["__key__"] for sample in samples_of(packed(tmp_path))]
    assert keys == ["00000000", "00000001", "00000003"]


def test_webdataset_gives_each_clip_what_it_has(tmp_path: Path) -> None:
    kinds = [
        {name for name in sample if not name.startswith("__")}
        for sample in samples_of(packed(tmp_path))
    ]
    everything = {"jpgs", "flac", "depths", "json"}
    assert kinds == [everything, everything - {"flac"}, everything - {"depths"}]


def test_the_record_says_what_the_clip_is(tmp_path: Path) -> None:
    record = json.loads(samples_of(packed(tmp_path))[0]["json"])
    assert {name: record[name] for name in ("clip_id", "split", "captions", "subtitle")} == {
        "clip_id": "all",
        "split": "train",
        "captions": ["one", "zwei ü"],
        "subtitle": "hello",
    }


def test_the_record_says_how_long_each_depth_map_is(tmp_path: Path) -> None:
    sample = samples_of(packed(tmp_path))[0]
    assert sum(json.loads(sample["json"])["depths_sizes"]) == len(sample["depths"])


def test_frames_are_packed_as_they_were_extracted(tmp_path: Path) -> None:
    shard = packed(tmp_path)
    wanted = b"".join(frame_jpeg(number) for number in range(8))
    assert member(shard, rows_of(shard)["silent"], "jpgs") == wanted


def test_the_index_finds_the_sound(tmp_path: Path) -> None:
    shard = packed(tmp_path)
    flac = member(shard, rows_of(shard)["all"], "flac")
    samples_n, _ = soundfile.read(io.BytesIO(flac), dtype="int16")
    assert np.array_equal(samples_n, tone(1.0))


def test_the_index_finds_each_depth_map(tmp_path: Path) -> None:
    shard = packed(tmp_path)
    row = rows_of(shard)["all"]
    start = sum(row["depths_sizes"][:2])
    jpeg = member(shard, row, "depths")[start : start + row["depths_sizes"][2]]
    near = simplejpeg.decode_jpeg(jpeg, "GRAY")[:, -1]
    assert round(float(near.mean())) == round(255 * 3 / 4)


@pytest.mark.parametrize("kind", ["jpgs", "flac", "depths"])
def test_the_index_knows_the_checksum_of_each_member(tmp_path: Path, kind: str) -> None:
    shard = packed(tmp_path)
    row = rows_of(shard)["all"]
    assert zlib.crc32(member(shard, row, kind)) == row[f"{kind}_crc32"]


def test_an_unusable_clip_keeps_its_row_with_status_stage_and_reason(tmp_path: Path) -> None:
    row = rows_of(packed(tmp_path))["lost"]
    assert [row[name] for name in ("status", "stage", "reason", "shard", "jpgs_offset")] == [
        "not_found",
        "probe",
        "lost is not_found",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("clip_id", "wanted"),
    [
        ("all", [True, True, True, True]),
        ("silent", [True, False, True, False]),
        ("lost", [False, False, False, False]),
        ("flat", [True, True, False, False]),
    ],
)
def test_the_index_says_what_each_clip_has(
    tmp_path: Path, clip_id: str, wanted: list[bool]
) -> None:
    row = rows_of(packed(tmp_path))[clip_id]
    assert [row[f"has_{name}"] for name in ("video", "audio", "depth", "subtitle")] == wanted


def test_the_index_says_why_a_clip_has_no_depth(tmp_path: Path) -> None:
    row = rows_of(packed(tmp_path))["flat"]
    assert (row["depth_status"], row["depth_reason"]) == (
        "not_found",
        "no flat.depth.npy beside the media",
    )


def test_the_index_has_the_columns_that_it_promises(tmp_path: Path) -> None:
    index = chunk_index(packed(tmp_path))
    assert pq.read_schema(index).remove_metadata() == INDEX


def test_the_same_input_gives_the_same_shard(tmp_path: Path) -> None:
    assert packed(tmp_path / "a").read_bytes() == packed(tmp_path / "b").read_bytes()


def test_the_same_input_gives_the_same_index(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(CLIPS)))
    first = pack(inputs, tmp_path / "0000.parquet").read_bytes()
    assert pack(inputs, tmp_path / "0000.parquet").read_bytes() == first


def test_a_shard_names_no_time_and_no_owner(tmp_path: Path) -> None:
    with tarfile.open(packed(tmp_path)) as tar:
        facts = {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in tar}
    assert facts == {(0, 0, 0, "", "")}


def test_a_chunk_without_usable_clips_gives_no_shard(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, [MadeClip(clip_id="lost", status=Status.NOT_FOUND)])
    assert (tars_of(index), shards_of_chunk(index), len(read_rows(index))) == ([], [], 1)


def test_a_chunk_without_clips_gives_an_empty_index(tmp_path: Path) -> None:
    assert rows_of(packed(tmp_path, [])) == {}


# --- several shards of a chunk -----------------------------------------------------------------

SMALL_MIB = 30 / 1024
"""A shard of this size holds two of the clips of ``many``."""


def many(number: int) -> list[MadeClip]:
    return [MadeClip(clip_id=f"clip{n}", sound_seconds=0.4) for n in range(number)]


def test_a_chunk_larger_than_a_shard_becomes_several(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, many(5), target_mib=SMALL_MIB)
    assert tars_of(index) == ["0000-000.tar", "0000-001.tar", "0000-002.tar"]
    assert [row["shard"] for row in read_rows(index)] == [
        f"0000-{number:03d}.tar" for number in (0, 0, 1, 1, 2)
    ]


def test_no_shard_is_larger_than_wanted_and_none_could_hold_the_next_clip(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, many(9), target_mib=SMALL_MIB)
    sizes = [facts.bytes for facts in shards_of_chunk(index)]
    assert max(sizes) <= SMALL_MIB * 2**20
    clip = sizes[0] / 2
    assert all(size + clip > SMALL_MIB * 2**20 for size in sizes[:-1])


def test_a_clip_larger_than_a_shard_stands_in_one_alone(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, many(3), target_mib=1 / 1024)
    assert [facts.samples for facts in shards_of_chunk(index)] == [1, 1, 1]


def test_the_size_of_a_shard_changes_no_member(tmp_path: Path) -> None:
    chunks = [
        pack_chunks(tmp_path / str(mib), many(5), target_mib=mib)[0] for mib in (SMALL_MIB, 1.0)
    ]
    some, others = (
        [member(index.with_name(row["shard"]), row, "jpgs") for row in read_rows(index)]
        for index in chunks
    )
    assert some == others


def test_webdataset_reads_all_shards_of_a_chunk(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, many(5), target_mib=SMALL_MIB)
    tars = str(index.with_name("0000-{000..002}.tar"))
    keys = [sample["__key__"] for sample in webdataset.WebDataset(tars, shardshuffle=False)]
    assert keys == [f"{number:08d}" for number in range(5)]


def test_the_index_knows_samples_size_and_digest_of_each_shard(tmp_path: Path) -> None:
    (index,) = pack_chunks(tmp_path, many(3), target_mib=SMALL_MIB)
    tars = [index.with_name(name) for name in tars_of(index)]
    assert shards_of_chunk(index) == [
        (tar.name, samples, tar.stat().st_size, sha256_of(tar))
        for tar, samples in zip(tars, [2, 1], strict=True)
    ]


def test_a_shard_has_the_bytes_that_the_tar_library_writes(tmp_path: Path) -> None:
    shard = packed(tmp_path)
    with tarfile.open(shard) as tar, open_archive(tmp_path / "again.tar") as again:
        for one in tar:
            add_member(again, one.name, tar.extractfile(one).read())  # type: ignore[union-attr]
    assert shard.read_bytes() == (tmp_path / "again.tar").read_bytes()


def test_shards_of_an_earlier_packing_are_removed(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(many(5))))
    index = pack(inputs, tmp_path / "shards" / "0000.parquet", target_mib=SMALL_MIB)
    index.with_name("0001-000.tar").write_bytes(b"of another chunk")
    index.with_name(".0000-007.tar.part").write_bytes(b"of a packing that was killed")
    pack(inputs, index)
    left = sorted(path.name for path in index.parent.iterdir())
    assert left == ["0000-000.tar", "0000.parquet", "0001-000.tar"]


@pytest.mark.parametrize("key", ["A", "a.b", "", "00000000", "a/b"])
def test_a_key_that_readers_would_take_apart_or_twice_is_refused(tmp_path: Path, key: str) -> None:
    with ShardWriter(tmp_path, name="x", target_bytes=2**20) as writer:
        writer.add("00000000", {"json": b"{}"})
        with pytest.raises(ValueError, match="follows '00000000'; keys of samples are"):
            writer.add(key, {"json": b"{}"})


# --- inputs that do not belong together ------------------------------------------------------


def test_a_table_of_other_clips_is_named(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(CLIPS)))
    rows = read_rows(inputs.subtitles)
    write_rows(inputs.subtitles, rows[1:], schema=pq.read_schema(inputs.subtitles))
    with pytest.raises(ValueError, match=r"subtitles\.parquet lists 3 clips.*delete both tables"):
        pack(inputs, tmp_path / "0000.parquet")


def test_a_cut_tar_is_named(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(CLIPS)))
    inputs.extracted.write_bytes(inputs.extracted.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"clips\.tar.*(not a whole tar|lacks the member)"):
        pack(inputs, tmp_path / "0000.parquet")


def test_a_tar_that_is_cut_between_members_is_named(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(CLIPS)))
    with tarfile.open(inputs.extracted) as tar:
        last = tar.getmembers()[-1]
    inputs.extracted.write_bytes(inputs.extracted.read_bytes()[: last.offset])
    with pytest.raises(ValueError, match=r"clips\.tar lacks the member 00000003\.json"):
        pack(inputs, tmp_path / "0000.parquet")


def test_a_tar_of_other_clips_is_named(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "a", list(enumerate(CLIPS)))
    renamed = [dataclasses.replace(clip, clip_id=f"other {clip.clip_id}") for clip in CLIPS]
    others = write_inputs(tmp_path / "b", list(enumerate(renamed)))
    others.extracted.replace(inputs.extracted)
    with pytest.raises(ValueError, match="has the clip 'other all' as 00000000"):
        pack(inputs, tmp_path / "0000.parquet")


def test_a_failure_leaves_no_shard(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(CLIPS)))
    inputs.depth.write_bytes(b"")
    with pytest.raises(ValueError, match="not a whole tar"):
        pack(inputs, tmp_path / "shards" / "0000.parquet")
    assert not (tmp_path / "shards").exists()


def test_a_failure_in_the_middle_leaves_no_shard(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path, list(enumerate(many(5))))
    with tarfile.open(inputs.extracted) as tar:
        last = tar.getmembers()[-1]
    inputs.extracted.write_bytes(inputs.extracted.read_bytes()[: last.offset])
    with pytest.raises(ValueError, match=r"lacks the member 00000004\.json"):
        pack(inputs, tmp_path / "shards" / "0000.parquet", target_mib=SMALL_MIB)
    assert list((tmp_path / "shards").iterdir()) == []


# --- tars ------------------------------------------------------------------------------------


def test_a_member_is_where_the_writer_says(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with open_archive(path) as tar:
        places = [add_member(tar, f"{size}.bin", bytes([7]) * size) for size in (0, 1, 512, 513)]
    content = path.read_bytes()
    found = [content[place.offset : place.offset + place.size] for place in places]
    assert found == [b"", b"\7", b"\7" * 512, b"\7" * 513]


def test_an_archive_gives_none_for_a_member_that_is_not_there(tmp_path: Path) -> None:
    with open_archive(tmp_path / "a.tar"):
        pass
    with Archive(tmp_path / "a.tar") as archive:
        assert archive.read("0.bin") is None
