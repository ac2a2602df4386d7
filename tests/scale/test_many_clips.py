"""Two thousand clips from media files to shards: nothing is lost, and memory does not grow."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from gram.data.tables import Row, read_rows
from tests.scale.many_clips import BROKEN_EVERY, WAYS, make_many
from tests.scale.processes import Used, run_module

COUNT = 2000

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What went in, what came out, and what it took."""

    folder: Path
    expected: Counter[str]
    rows: list[Row]
    used: Used


def run_many(folder: Path, *, count: int) -> Ran:
    expected = make_many(folder, count=count)
    used = run_module("tests.scale.many_clips", folder)
    rows = read_rows(folder / "shards" / "index.parquet")
    return Ran(folder=folder, expected=expected, rows=rows, used=used)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_many(tmp_path_factory.mktemp("many"), count=COUNT)


def test_every_way_to_be_broken_occurs_often(ran: Ran) -> None:
    least = COUNT // BROKEN_EVERY // len(WAYS)
    assert min(ran.expected.values()) >= least > 10


def test_no_two_clips_are_alike(ran: Ran) -> None:
    usable = [Path(row["media"]) for row in ran.rows if row["status"] == "ok"]
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in usable}
    assert len(digests) == len(usable) > COUNT * 0.9


def test_every_clip_has_its_row_in_order(ran: Ran) -> None:
    assert [row["clip_id"] for row in ran.rows] == [f"clip{n:05d}" for n in range(COUNT)]


def test_each_clip_becomes_what_it_should(ran: Ran) -> None:
    found = Counter(
        "ok" if row["status"] == "ok" else f"{row['status']} ({row['stage']})" for row in ran.rows
    )
    assert found == ran.expected


def test_usable_clips_have_all_their_frames_and_their_sound(ran: Ran) -> None:
    usable = [row for row in ran.rows if row["status"] == "ok"]
    assert {row["decoded_frames"] for row in usable} == {8}
    assert all(0.9 < row["audio_seconds"] < 1.2 for row in usable)


def test_memory_does_not_grow_with_the_number_of_clips(ran: Ran, tmp_path: Path) -> None:
    few = run_many(tmp_path / "few", count=COUNT // 10)
    assert ran.used.peak_mib < few.used.peak_mib + 50
