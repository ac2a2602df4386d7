import json
from pathlib import Path

import pytest

from gram.config.sources import SiteSource
from gram.data.annotations import make_clips
from gram.data.media_files import chunk_of
from gram.data.status import Status
from gram.fetch.ledger import Outcome
from gram.fetch.places import find_places
from gram.fetch.site import Place

STATED = {"kind": "site", "dataset": "own", "role": "clips", "what": "clips", "license": "none"}
YOUTUBE = "https://www.youtube.com/watch?v={id}"


def site(**given: object) -> SiteSource:
    return SiteSource.model_validate({**STATED, **given})


def places(
    folder: Path,
    records: list[dict[str, object]],
    source: SiteSource,
) -> list[Place | Outcome]:
    annotation = folder / "a.json"
    annotation.write_text(json.dumps([{"desc": "x", **one} for one in records]))
    make_clips([("test", annotation)], folder / "clips.parquet")
    return find_places(source, folder / "clips.parquet", annotations=[annotation])


@pytest.mark.parametrize(
    ("pattern", "seconds", "clip_id", "expected"),
    [
        (
            r"(?P<id>.{11})_(?P<start>\d+)_(?P<end>\d+)",
            None,
            "G9zN5TTuGO4_000179_000189",
            (179.0, 189.0),
        ),
        (r"(?P<id>.{11})_(?P<start>\d+)", 10, "G9zN5TTuGO4_000012", (12.0, 22.0)),
        (r"v_(?P<id>.{11})", None, "v_G9zN5TTuGO4", (None, None)),
    ],
    ids=["start and end", "start and length", "whole"],
)
def test_an_id_says_which_part_of_which_video(
    pattern: str,
    seconds: float | None,
    clip_id: str,
    expected: tuple[float | None, float | None],
    tmp_path: Path,
) -> None:
    source = site(url=YOUTUBE, pattern=pattern, seconds=seconds)
    (place,) = places(tmp_path, [{"video_id": clip_id}], source)
    assert place == Place(
        source_id=clip_id,
        url="https://www.youtube.com/watch?v=G9zN5TTuGO4",
        start_seconds=expected[0],
        end_seconds=expected[1],
    )


def test_an_id_cannot_add_to_the_address(tmp_path: Path) -> None:
    source = site(url="https://example.org/{id}/file", pattern="(?P<id>.+)")
    (place,) = places(tmp_path, [{"video_id": "../a?b=c#d&e"}], source)
    assert isinstance(place, Place)
    assert place.url == "https://example.org/..%2Fa%3Fb%3Dc%23d%26e/file"


def test_an_id_of_another_form_keeps_its_row(tmp_path: Path) -> None:
    source = site(url=YOUTUBE, pattern="v_(?P<id>.{11})")
    (outcome,) = places(tmp_path, [{"video_id": "other"}], source)
    assert isinstance(outcome, Outcome)
    assert outcome.status is Status.NOT_FOUND
    assert "the id is not of the form v_(?P<id>.{11})" in (outcome.reason or "")


def test_a_record_may_say_itself_where_its_clip_is(tmp_path: Path) -> None:
    records = [
        {
            "clip_id": "abc.1",
            "url": "https://www.youtube.com/watch?v=abc",
            "clip_span": ["00:03:00.879", "00:03:05.5"],
        },
        {"clip_id": "abc.2", "url": "https://example.org/whole.mp4"},
        {"clip_id": "abc.3"},
    ]
    first, second, third = places(tmp_path, records, site())
    assert first == Place(
        source_id="abc.1",
        url="https://www.youtube.com/watch?v=abc",
        start_seconds=pytest.approx(180.879),
        end_seconds=185.5,
    )
    assert second == Place(source_id="abc.2", url="https://example.org/whole.mp4")
    assert isinstance(third, Outcome)
    assert "its annotation has no url" in (third.reason or "")


def test_parts_of_one_file_ask_for_it_once(tmp_path: Path) -> None:
    records = [{"video_id": f"c{n}", "source_id": "film", "start": n, "end": n + 1} for n in (1, 2)]
    source = site(url="https://example.org/{id}.mp4", pattern="(?P<id>.+)")
    assert places(tmp_path, records, source) == [
        Place(source_id="film", url="https://example.org/film.mp4")
    ]


def test_a_part_of_the_table_has_its_own_clips(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(12)]
    source = site(url="https://example.org/{id}", pattern="(?P<id>.+)")
    (tmp_path / "a.json").write_text(json.dumps([{"id": one, "desc": "x"} for one in names]))
    make_clips([("test", tmp_path / "a.json")], tmp_path / "clips.parquet", chunks=3)
    part = find_places(source, tmp_path / "clips/0001.parquet", annotations=[])
    assert [one.source_id for one in part if isinstance(one, Place)] == [
        one for one in names if chunk_of(one, 3) == 1
    ]


def test_records_of_vast_say_where_the_clips_of_their_ids_are(tmp_path: Path) -> None:
    record = {
        "clip_id": "Wtll1g9i0M8.15",
        "clip_span": ["00:03:00.879", "00:03:05.500"],
        "url": "https://www.youtube.com/watch?v=Wtll1g9i0M8",
        "vast_cap": "A boy talks.",
        "subtitle": "",
    }
    annotation, ids = tmp_path / "annotations150k.json", tmp_path / "ids.txt"
    annotation.write_text(json.dumps([record, {**record, "clip_id": "Wtll1g9i0M8.16"}]))
    ids.write_text("Wtll1g9i0M8.15\n")
    files = [("train", annotation), ("train", ids)]
    make_clips(files, tmp_path / "clips.parquet", format_name="vast")
    assert find_places(site(), tmp_path / "clips.parquet", annotations=[annotation, ids]) == [
        Place(
            source_id="Wtll1g9i0M8.15",
            url="https://www.youtube.com/watch?v=Wtll1g9i0M8",
            start_seconds=pytest.approx(180.879),
            end_seconds=185.5,
        )
    ]


def test_parts_of_a_file_ask_for_the_whole_of_what_their_records_name(tmp_path: Path) -> None:
    records = [
        {
            "clip_id": f"c{start}",
            "source_id": "film",
            "url": "https://example.org/film.mp4",
            "clip_span": [start, start + 1],
        }
        for start in (1, 2)
    ]
    assert places(tmp_path, records, site()) == [
        Place(source_id="film", url="https://example.org/film.mp4")
    ]


def test_an_annotation_that_is_no_json_says_that_it_tells_no_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("video_id,caption\na,x\n")
    make_clips([("test", tmp_path / "a.csv")], tmp_path / "clips.parquet")
    with pytest.raises(ValueError, match="so it does not say where its clips are"):
        find_places(site(), tmp_path / "clips.parquet", annotations=[tmp_path / "a.csv"])
