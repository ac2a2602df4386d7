import json
from pathlib import Path

import pytest

from gram.data.status import Status
from gram.evaluation.origins import (
    DatasetFacts,
    PackedShard,
    SetAside,
    describe_dataset,
)
from gram.files import sha256_of
from tests.unit.data.made_shards import MadeClip, make_index

CLIPS = [
    MadeClip(clip_id="whole", subtitle="hello"),
    MadeClip(clip_id="silent", sound_seconds=None, depth_maps=None),
    MadeClip(clip_id="other", split="test"),
    *(MadeClip(clip_id=f"cut{n}", status=Status.TRUNCATED) for n in range(7)),
    MadeClip(clip_id="lost", split="test", status=Status.NOT_FOUND),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the index of clips that were packed, with its shard and manifest beside it."""
    return make_index(tmp_path_factory.mktemp("made"), CLIPS)


@pytest.fixture(scope="module")
def facts(index: Path) -> DatasetFacts:
    return describe_dataset("toys", manifest=index.with_name("manifest.json"))


def test_clips_set_aside_are_counted_the_most_frequent_way_first(facts: DatasetFacts) -> None:
    assert [(aside.status, aside.stage, aside.clips) for aside in facts.aside] == [
        ("truncated", "probe", 7),
        ("not_found", "probe", 1),
    ]


def test_a_clip_set_aside_is_told_with_its_reason(facts: DatasetFacts) -> None:
    assert facts.aside[1] == SetAside(
        status="not_found",
        stage="probe",
        clips=1,
        first_reasons=("clip 'lost': lost is not_found",),
    )


def test_of_many_reasons_the_first_are_told(facts: DatasetFacts) -> None:
    assert facts.aside[0].first_reasons == tuple(
        f"clip 'cut{n}': cut{n} is truncated" for n in range(5)
    )


def test_shards_are_those_of_the_data_set(index: Path, facts: DatasetFacts) -> None:
    shard = index.with_name("0000-000.tar")
    assert facts.shards == (
        PackedShard(
            name="0000-000.tar", samples=3, bytes=shard.stat().st_size, sha256=sha256_of(shard)
        ),
    )


def test_subtitles_are_counted_by_where_they_are_from(facts: DatasetFacts) -> None:
    assert facts.subtitles == {"annotation": 1, "not annotated": 2}


def test_depth_files_are_counted_by_what_became_of_them(facts: DatasetFacts) -> None:
    assert facts.depth == {"not_found": 1, "ok": 2}


def test_the_decoder_is_named(facts: DatasetFacts) -> None:
    assert facts.ffmpeg_versions == ("5.1",)


def test_a_manifest_of_another_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"files": []}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"manifest.json lacks 'unusable'; delete it and run"):
        describe_dataset("toys", manifest=tmp_path / "manifest.json")
