# ruff: noqa: ANN401 - what the stages give is a class of conftest, which cannot be imported
import logging
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

MakeMedia = Callable[..., Path]


# --- a zoo of files, each of which went through all stages once ---------------------------------

NAMES = {
    "percent": "a%03d",
    "dash": "-dash",
    "spaces": " two  words ",
    "unicode": "épée 剣 🤺",
    "colon": "http:x",
    "quote": 'it\'s "so" [0:v];$(x)',
    "dots": "GOD8Bt5LfDE_100.000_110.000",
}


def make_healthy(folder: Path, make_media: MakeMedia, run_ffmpeg: Callable[..., bytes]) -> None:
    make_media(folder / "plain.mp4")
    make_media(folder / "mute.mp4", sound=None)
    make_media(folder / "upper.MP4", sound=None)
    make_media(folder / "webm.webm", codec=("-c:v", "libvpx", "-deadline", "realtime"), sound=None)
    make_media(folder / "animation.gif", codec=(), sound=None)
    make_media(folder / "avi.avi", codec=("-c:v", "mpeg4"))
    make_media(folder / "hidden_ts.mp4", "-f", "mpegts")
    make_media(folder / "no_suffix", "-f", "mp4")
    make_media(folder / "odd.mkv", picture="testsrc2=s=97x65:r=10:d=2", codec=("-c:v", "ffv1"))
    make_media(folder / "wide_pixels.mp4", "-vf", "setsar=2", sound=None)
    make_media(folder / "large.mp4", picture="testsrc2=s=320x120:r=10:d=2", sound=None)
    make_media(folder / "open_gop.mp4", "-g", "5", "-x264-params", "open-gop=1:bframes=2")
    make_media(folder / "surround.mp4", "-ac", "6", "-ar", "48000")
    make_media(folder / "long_sound.mkv", sound="sine=440:d=4")
    make_media(folder / "short_sound.mp4", sound="sine=440:d=0.15")
    make_media(folder / "late_sound.mp4", "-af", "asetpts=PTS+0.5/TB")
    make_media(folder / "uneven.mp4", "-vf", "select='lt(mod(n,7),3)'", "-fps_mode", "vfr")
    make_media(folder / "slides.mp4", "-vf", "select='lt(t,.5)+gt(t,1.7)'", "-fps_mode", "vfr")
    make_media(folder / "three_frames.mp4", "-frames:v", "3", sound=None)
    turned = make_media(folder / "turned.mp4", sound=None)
    turned.write_bytes(turn(turned.read_bytes()))
    live = ("-f", "matroska", "-")
    sources = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=2", "-c:v", "mpeg4")
    (folder / "live.mkv").write_bytes(run_ffmpeg(*sources, *live))
    for name in NAMES.values():
        make_media(folder / f"{name}.mp4", picture="testsrc2=s=32x32:r=10:d=1", sound=None)
    make_changing(folder / "changing.webm", make_media, run_ffmpeg)


def turn(mp4: bytes) -> bytes:
    """Write a quarter turn into the track header's matrix."""
    place = mp4.index(b"tkhd") + 44
    one, unit = 1 << 16, 1 << 30
    assert mp4[place : place + 36] == struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, unit)
    matrix = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, unit)
    return mp4[:place] + matrix + mp4[place + 36 :]


def make_changing(path: Path, make_media: MakeMedia, run_ffmpeg: Callable[..., bytes]) -> None:
    """Make a video whose second half has another size."""
    parts = path.parent / ".parts"
    codec = ("-c:v", "libvpx", "-deadline", "realtime")
    for name, size in (("a", "96x64"), ("b", "64x96")):
        source = f"testsrc2=s={size}:r=10:d=1"
        make_media(parts / f"{name}.webm", picture=source, codec=codec, sound=None)
    (parts / "list").write_text("file a.webm\nfile b.webm\n")
    run_ffmpeg("-f", "concat", "-i", parts / "list", "-c", "copy", path)


def make_broken(folder: Path, make_media: MakeMedia, run_ffmpeg: Callable[..., bytes]) -> None:
    whole = make_media(folder / ".whole.mp4", "-movflags", "+faststart").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (folder / "half_index.mp4").write_bytes(whole[:200])
    late_index = (folder / "plain.mp4").read_bytes()
    (folder / "no_index.mp4").write_bytes(late_index[: len(late_index) // 2])
    (folder / "hole.mp4").write_bytes(punch(whole))
    film = make_media(folder / ".whole.mkv", codec=("-c:v", "mpeg4")).read_bytes()
    (folder / "cut_film.mkv").write_bytes(film[: len(film) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "page.mp4").write_text("<!DOCTYPE html><html><body>not found</body></html>")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    one = ("-frames:v", "1", "-f", "image2", "-c:v", "mjpeg")
    picture = make_media(folder / "picture.mp4", *one, codec=(), sound=None)
    make_media(folder / "one_frame.mp4", "-frames:v", "1", sound=None)
    make_media(folder / "sound_only.mp4", picture=None)
    song = ("-f", "lavfi", "-i", "sine=d=1", "-f", "mjpeg", "-i", picture, "-map", "0", "-map", "1")
    run_ffmpeg(
        *song, "-c:v", "copy", "-f", "mp3", "-disposition:v", "attached_pic", folder / "song.mp4"
    )
    make_media(folder / ".secret.ts", "-f", "mpegts")
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
    (folder / "playlist.mp4").write_text(head + ".secret.ts\n#EXT-X-ENDLIST\n")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile plain.mp4\n")
    make_media(folder / "video10.mp4", picture="testsrc2=s=32x32:r=10:d=1", sound=None)


def punch(mp4: bytes) -> bytes:
    """Overwrite a third of the frames' bytes."""
    start = mp4.index(b"mdat") + 4
    size = len(mp4) - start
    hole = np.random.default_rng(0).bytes(size // 3)
    return mp4[: start + size // 3] + hole + mp4[start + size // 3 + len(hole) :]


BROKEN = {
    "cut": ("truncated", "lacks its end"),
    "cut_film": ("truncated", "of 8 time bins"),
    "no_index": ("unreadable", "cannot be opened as a video: moov atom not found"),
    "half_index": ("unreadable", "has no track that can be read"),
    "hole": ("unreadable", "has a damaged picture: "),
    "empty": ("unreadable", "is empty (0 bytes)"),
    "noise": ("unreadable", "cannot be opened"),
    "page": ("unreadable", "cannot be opened"),
    "dangling": ("unreadable", "No such file"),
    "picture": ("no_video", "is a still picture"),
    "one_frame": ("too_short", "1 of at least 2 frames (extraction.min_frames)"),
    "sound_only": ("no_video", "has no video track (found audio)"),
    "song": ("no_video", "has no video track (found audio and a cover picture)"),
    "playlist": ("unreadable", "cannot be opened"),
    "script": ("unreadable", "is of the format concat, which is not read"),
    "video1": ("not_found", "no media file named 'video1' in"),
}

HEALTHY = (
    *("plain", "mute", "upper", "webm", "animation", "avi", "hidden_ts", "no_suffix", "odd"),
    *("wide_pixels", "large", "open_gop", "surround", "long_sound", "short_sound", "late_sound"),
    *("uneven", "slides", "three_frames", "turned", "live", "changing"),
)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture(scope="module")
def zoo(
    tmp_path_factory: pytest.TempPathFactory,
    make_media: MakeMedia,
    run_ffmpeg: Callable[..., bytes],
    run_stages: Callable[..., Any],
) -> Any:
    folder = tmp_path_factory.mktemp("zoo")
    make_healthy(folder / "media", make_media, run_ffmpeg)
    make_broken(folder / "media", make_media, run_ffmpeg)
    names = [*HEALTHY, *NAMES.values(), *BROKEN]
    return run_stages(
        folder / "media", [{"video_id": name} for name in names], output=folder / "out"
    )


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_file_is_used(zoo: Any, name: str) -> None:
    row = zoo.rows[name]
    assert (row["status"], row["stage"], row["reason"]) == ("ok", None, None)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_with_an_odd_name_is_used(zoo: Any, name: str) -> None:
    assert zoo.rows[name]["status"] == "ok"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_set_aside_with_its_reason(zoo: Any, name: str) -> None:
    row = zoo.rows[name]
    status, words = BROKEN[name]
    assert row["status"] == status
    assert words in row["reason"]


# --- frames and facts ----------------------------------------------------------------------------


def test_bins_that_a_few_frames_cannot_hit_are_not_held_against_a_clip(zoo: Any) -> None:
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
def test_the_shorter_side_is_scaled_down_only(zoo: Any, name: str, height: int, width: int) -> None:
    sizes = {simplejpeg.decode_jpeg_header(jpeg)[:2] for jpeg in zoo.frames(name)}
    assert sizes == {(height, width)}


def test_a_video_that_changes_its_size_keeps_all_frames(zoo: Any) -> None:
    assert zoo.record("changing")["times"] == [0.2, 0.4, 0.7, 0.9, 1.2, 1.4, 1.7, 1.9]


def test_the_record_tells_the_facts_of_the_file(zoo: Any) -> None:
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
def test_the_tone_of_a_file_is_kept(zoo: Any, name: str) -> None:
    sound_n = zoo.sound(name)[:16000]
    assert abs(int(np.abs(np.fft.rfft(sound_n)).argmax()) - 440) <= 1


def test_a_late_sound_stays_late(zoo: Any) -> None:
    sound_n = zoo.sound("late_sound")
    loud = np.flatnonzero(abs(sound_n) > 500)[0] / 16000
    assert loud == pytest.approx(0.5, abs=0.05)


def test_a_clip_without_sound_is_used_and_says_so(zoo: Any) -> None:
    assert zoo.rows["mute"]["has_audio"] is False
    assert f"{zoo.rows['mute']['key']}.flac" not in zoo.members


# --- the chunk ---------------------------------------------------------------------------------


def test_every_clip_keeps_its_row(zoo: Any) -> None:
    assert list(zoo.rows) == [*HEALTHY, *NAMES.values(), *BROKEN]


def test_members_stand_in_the_order_of_the_table(zoo: Any) -> None:
    keys = [name.partition(".")[0] for name in zoo.members]
    assert keys == sorted(keys)


def test_only_usable_clips_are_in_the_tar(zoo: Any) -> None:
    keys = {name.partition(".")[0] for name in zoo.members}
    assert keys == {row["key"] for row in zoo.rows.values() if row["status"] == "ok"}


def test_members_carry_no_time_and_no_owner(zoo: Any) -> None:
    with tarfile.open(zoo.folder / "clips.tar") as tar:
        facts = {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in tar}
    assert facts == {(0, 0, 0, "", "")}


def test_the_version_of_ffmpeg_is_recorded(zoo: Any) -> None:
    assert zoo.rows["plain"]["ffmpeg_version"]


def test_the_same_input_gives_the_same_bytes_with_any_number_of_workers(
    media: Path, tmp_path: Path, make_media: MakeMedia, run_stages: Any
) -> None:
    for name in "abcd":
        make_media(media / f"{name}.mp4")
    (media / "d.mp4").write_bytes(punch((media / "d.mp4").read_bytes()))
    records = [{"video_id": name} for name in "abcd"]
    for workers in (1, 3):
        run_stages(media, records, output=tmp_path / str(workers), workers=workers)
    for name in ("clips.parquet", "probe.parquet", "extraction.parquet", "clips.tar"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


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
