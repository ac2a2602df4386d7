import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.data import clip_reader
from gram.data.clip_dataset import ClipDataset
from gram.data.loader import batches
from gram.data.tables import read_rows
from gram.data.tars import Member
from gram.types import Modality
from tests.unit.data.made_datasets import ALL, dataset, with_inputs
from tests.unit.data.made_shards import MadeClip, make_index

# --- memory ----------------------------------------------------------------------------------


def test_kept_clips_are_not_read_again(tmp_path: Path) -> None:
    index = make_index(tmp_path, ALL[:1])
    data = dataset(index, num_frames=8, cache_mib=64)
    first = data.sample(0, epoch=0)
    for number in range(20):  # until every slice of sound was drawn
        data.sample(0, epoch=number)
    (index.parent / "0000-000.tar").unlink()
    again = data.sample(0, epoch=0)
    assert torch.equal(again.video_fchw, first.video_fchw)  # type: ignore[arg-type]


def test_memory_for_kept_clips_is_bounded(tmp_path: Path) -> None:
    index = make_index(tmp_path, ALL)
    data = dataset(index, with_inputs(audio_frames=1024), cache_mib=1)  # 256 KiB a clip
    for row in range(10):
        data.sample(row, epoch=0)
    held = data._reader._cache._held.values()
    assert 2**19 < sum(tensor.nbytes for tensor in held) <= 2**20


# --- damage ----------------------------------------------------------------------------------


def damaged(folder: Path, kind: str) -> ClipDataset:
    """Change one byte of a member of a clip after its shard was indexed."""
    index = make_index(folder, [MadeClip(clip_id="a", subtitle="x")])
    row = read_rows(index)[0]
    shard = index.parent / "0000-000.tar"
    content = bytearray(shard.read_bytes())
    content[int(row[f"{kind}_offset"]) + int(row[f"{kind}_size"]) // 2] ^= 1
    shard.write_bytes(content)
    return dataset(index)


@pytest.mark.parametrize("kind", ["jpgs", "flac", "depths"])
def test_a_changed_byte_is_noticed_with_shard_and_clip(tmp_path: Path, kind: str) -> None:
    said = rf"clip 'a': the shard (.*0000-000\.tar) is damaged or another one: its {kind} have .*"
    with pytest.raises(ValueError, match=said + r"run `gram shards verify \S+ --discard`"):
        damaged(tmp_path, kind).sample(0, epoch=0)


def test_a_cut_shard_is_noticed(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeClip(clip_id="a")])
    data = dataset(index)
    shard = index.parent / "0000-000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"clip 'a': the shard .* is cut: its jpgs end after 188"):
        data.sample(0, epoch=0)


def test_an_absent_shard_is_noticed(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeClip(clip_id="a")])
    data = dataset(index)
    (index.parent / "0000-000.tar").unlink()
    with pytest.raises(ValueError, match=r"clip 'a': the shard .*0000-000\.tar is not there; run"):
        data.sample(0, epoch=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_damage_ends_the_epoch(tmp_path: Path, workers: int) -> None:
    stream = batches(damaged(tmp_path, "jpgs"), batch_size=1, seed=0, epoch=0, workers=workers)
    with pytest.raises(ValueError, match="is damaged"):
        next(stream)


def test_an_unused_modality_is_not_read(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeClip(clip_id="a")])
    data = dataset(index, modalities=[Modality.VIDEO])
    shard = index.parent / "0000-000.tar"
    row = read_rows(index)[0]
    shard.write_bytes(shard.read_bytes()[: int(row["flac_offset"])])
    assert data.sample(0, epoch=0).audio_ctm is None


@pytest.mark.parametrize(("kind", "content"), [("jpgs", b"no picture"), ("flac", b"no sound")])
def test_a_member_that_cannot_be_decoded_is_named_with_its_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, content: bytes
) -> None:
    data = dataset(make_index(tmp_path, [MadeClip(clip_id="a")]))
    read = clip_reader.read_member

    def reading(shard: Path, member: Member, *, clip_id: str, kind: str) -> bytes:
        return content if kind == wanted else read(shard, member, clip_id=clip_id, kind=kind)

    wanted = kind
    monkeypatch.setattr(clip_reader, "read_member", reading)
    with pytest.raises(ValueError, match=rf"clip 'a': its {kind} in the shard .*0000.*decoded"):
        data.sample(0, epoch=0)


def test_very_short_sound_is_padded(tmp_path: Path) -> None:
    index = make_index(tmp_path, [dataclasses.replace(ALL[0], sound_seconds=0.005)])
    bank = dataset(index).sample(0, epoch=0).audio_ctm
    assert bank is not None
    assert np.isfinite(bank.numpy()).all()
