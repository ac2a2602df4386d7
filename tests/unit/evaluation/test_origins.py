import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gram.evaluation.origins import ShardFacts, SplitFacts, describe_dataset

PackClips = Callable[..., Path]


def test_clips_are_counted_by_split(pack_clips: PackClips, tmp_path: Path) -> None:
    index = pack_clips(tmp_path, captions=["one", "two"])
    facts = describe_dataset("toys", index=index, manifest=tmp_path / "manifest.json")
    assert facts.splits == (
        SplitFacts(split="test", clips=3, usable=2, audio=2, subtitle=2, depth=0),
    )


def test_clips_set_aside_are_counted_by_reason(pack_clips: PackClips, tmp_path: Path) -> None:
    index = pack_clips(tmp_path, captions=["one", "two"])
    rows = pq.read_table(index).to_pylist()
    gone = {**rows[-1], "status": "not_found", "stage": "probe", "reason": "no file"}
    pq.write_table(pa.Table.from_pylist([*rows, gone, gone]), index)
    facts = describe_dataset("toys", index=index, manifest=tmp_path / "manifest.json")
    assert [(aside.status, aside.stage, aside.clips) for aside in facts.aside] == [
        ("not_found", "probe", 2),
        ("truncated", "extract", 1),
    ]
    assert [aside.reasons for aside in facts.aside] == [
        (("no file", 2),),
        (("3 of 8 time bins have a frame", 1),),
    ]


def test_many_reasons_are_cut_and_counted(pack_clips: PackClips, tmp_path: Path) -> None:
    index = pack_clips(tmp_path, captions=["one"])
    rows = pq.read_table(index).to_pylist()
    odd = [{**rows[-1], "reason": f"reason {min(i, 7)}"} for i in range(10)]
    pq.write_table(pa.Table.from_pylist([rows[0], *odd]), index)
    facts = describe_dataset("toys", index=index, manifest=tmp_path / "manifest.json")
    (aside,) = facts.aside
    assert (aside.clips, len(aside.reasons), aside.more_reasons) == (10, 5, 3)
    assert aside.reasons[0] == ("reason 7", 3)


def test_the_manifest_tells_shards_depth_and_decoder(pack_clips: PackClips, tmp_path: Path) -> None:
    index = pack_clips(tmp_path, captions=["one", "two"])
    facts = describe_dataset("toys", index=index, manifest=tmp_path / "manifest.json")
    assert facts.shards == (ShardFacts(name="0000.tar", samples=2, bytes=512, sha256="0" * 64),)
    assert facts.depth == {"not_found": 2}
    assert facts.ffmpeg_versions == ("7.1",)


def test_a_manifest_of_another_form_is_named(pack_clips: PackClips, tmp_path: Path) -> None:
    index = pack_clips(tmp_path, captions=["one"])
    (tmp_path / "manifest.json").write_text(json.dumps({"files": []}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"manifest.json lacks 'depth'; delete it and run"):
        describe_dataset("toys", index=index, manifest=tmp_path / "manifest.json")
