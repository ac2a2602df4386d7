# ruff: noqa: ANN401 - what runs the stages is given by a fixture
import logging
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from tests.unit.data.made_media import Chunk
from tests.unit.data.made_zoo import NAMES, punch

MakeMedia = Callable[..., Path]


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


# --- frames and facts ----------------------------------------------------------------------------


def test_bins_that_a_few_frames_cannot_hit_are_not_held_against_a_clip(zoo: Chunk) -> None:
    assert zoo.rows["three_frames"]["bins_hit"] == 2


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        ("plain", 48, 72),
        ("wide_pixels", 48, 144),
        ("turned", 72, 48),
        ("large", 48, 128),
        ("odd", 48, 72),
        (NAMES["percent"], 32, 32),
    ],
    ids=["landscape", "wide pixels", "turned", "larger", "odd", "small stays small"],
)
def test_the_shorter_side_is_scaled_down_only(
    zoo: Chunk, name: str, height: int, width: int
) -> None:
    sizes = {simplejpeg.decode_jpeg_header(jpeg)[:2] for jpeg in zoo.frames(name)}
    assert sizes == {(height, width)}


def test_a_video_that_changes_its_size_keeps_all_frames(zoo: Chunk) -> None:
    assert zoo.record("changing")["times"] == [0.2, 0.4, 0.7, 0.9, 1.2, 1.4, 1.7, 1.9]


def test_the_record_tells_the_facts_of_the_file(zoo: Chunk) -> None:
    assert zoo.record("plain")["media"] == {
        "duration_seconds": 2.0,
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "video_codec": "h264",
        "width": 96,
        "height": 64,
        "frame_rate": 10.0,
        "audio_codec": "aac",
        "sample_rate_hz": 44100,
        "channels": 1,
    }


# --- sound -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "surround", "avi", "hidden_ts"])
def test_the_tone_of_a_file_is_kept(zoo: Chunk, name: str) -> None:
    sound_n = zoo.sound(name)[:16000]
    assert abs(int(np.abs(np.fft.rfft(sound_n)).argmax()) - 440) <= 1


def test_a_late_sound_stays_late(zoo: Chunk) -> None:
    sound_n = zoo.sound("late_sound")
    loud = np.flatnonzero(abs(sound_n) > 500)[0] / 16000
    assert loud == pytest.approx(0.5, abs=0.05)


def test_a_clip_without_sound_is_used_and_says_so(zoo: Chunk) -> None:
    assert zoo.rows["mute"]["has_audio"] is False
    assert f"{zoo.rows['mute']['key']}.flac" not in zoo.members


# --- the chunk ---------------------------------------------------------------------------------


def test_members_stand_in_the_order_of_the_table(zoo: Chunk) -> None:
    keys = [name.partition(".")[0] for name in zoo.members]
    assert keys == sorted(keys)


def test_only_usable_clips_are_in_the_tar(zoo: Chunk) -> None:
    keys = {name.partition(".")[0] for name in zoo.members}
    assert keys == {row["key"] for row in zoo.rows.values() if row["status"] == "ok"}


def test_members_carry_no_time_and_no_owner(zoo: Chunk) -> None:
    with tarfile.open(zoo.folder / "clips.tar") as tar:
        facts = {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in tar}
    assert facts == {(0, 0, 0, "", "")}


def test_the_version_of_ffmpeg_is_recorded(zoo: Chunk) -> None:
    assert zoo.rows["plain"]["ffmpeg_version"]


@pytest.fixture
def some_media(media: Path, make_media: MakeMedia) -> Path:
    """Give four clips, one of them damaged."""
    for name in "abcd":
        make_media(media / f"{name}.mp4")
    (media / "d.mp4").write_bytes(punch((media / "d.mp4").read_bytes()))
    return media


@pytest.mark.parametrize("workers", [1, 2, 3], ids=lambda number: f"by {number} at a time")
def test_the_same_input_gives_the_same_bytes(
    some_media: Path, tmp_path: Path, run_stages: Any, workers: int
) -> None:
    records = [{"video_id": name} for name in "abcd"]
    for name, number in (("once", 1), ("again", workers)):
        run_stages(some_media, records, output=tmp_path / name, workers=number)
    for name in ("clips.parquet", "probe.parquet", "extraction.parquet", "clips.tar"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_chunk_without_a_usable_clip_gives_an_empty_tar(
    media: Path, tmp_path: Path, run_stages: Any
) -> None:
    media.mkdir()
    (media / "a.mp4").write_bytes(b"")
    chunk = run_stages(media, [{"video_id": "a"}], output=tmp_path / "out")
    assert (chunk.members, chunk.rows["a"]["status"]) == ({}, "unreadable")


def test_extraction_loads_no_torch() -> None:
    code = "import sys, gram.data.extract; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "False"


def test_the_log_says_what_was_set_aside_and_why(
    media: Path,
    tmp_path: Path,
    make_media: MakeMedia,
    run_stages: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_media(media / "a.mp4", "-frames:v", "1")
    with caplog.at_level(logging.INFO):
        run_stages(media, [{"video_id": "a"}], output=tmp_path / "out")
    assert "clip 'a' is set aside as too_short: a.mp4: 1 of at least 2 frames" in caplog.text
