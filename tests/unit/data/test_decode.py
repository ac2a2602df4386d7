# ruff: noqa: ANN401 - what the stages give is a class of conftest, which cannot be imported
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from gram.config import ExtractionConfig

MakeMedia = Callable[..., Path]

SETTINGS_OF_ONE_FRAME = ExtractionConfig(frames_per_clip=8, short_side=48, min_frames=1)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return tmp_path / "media"


# --- which frames ------------------------------------------------------------------------------


def gray_of(jpeg: bytes) -> float:
    return float(simplejpeg.decode_jpeg(jpeg).mean())


def first_frames_after_centers(times: np.ndarray, *, seconds: float, bins: int) -> list[int]:
    """Choose frames in the plain way: for each bin's center, the first frame at or after it."""
    chosen = []
    for number in range(bins):
        center = (number + 0.5) * seconds / bins
        after = np.flatnonzero(times >= center - 1e-6)
        if len(after) and int(after[0]) not in chosen:
            chosen.append(int(after[0]))
    return chosen


FRAME_COUNTS = (3, 8, 13, 20, 50)


def gray_levels(num_frames: int) -> np.ndarray:
    return np.linspace(20, 235, num_frames).round().astype(int)


@pytest.fixture(scope="module")
def grays(
    tmp_path_factory: pytest.TempPathFactory,
    make_gray: MakeMedia,
    make_media: MakeMedia,
    run_stages: Any,
) -> Any:
    folder = tmp_path_factory.mktemp("grays")
    for count in FRAME_COUNTS:
        make_gray(folder / "media" / f"{count}.mp4", gray_levels(count).tolist())
    some = ("-vf", "select='lt(mod(n,7),3)'", "-fps_mode", "vfr")
    make_media(folder / "media" / "uneven.mp4", *some)
    records = [{"video_id": str(name)} for name in (*FRAME_COUNTS, "uneven")]
    return run_stages(folder / "media", records, output=folder / "out")


@pytest.mark.parametrize("count", FRAME_COUNTS)
def test_the_first_frame_after_each_bin_center_is_kept(grays: Any, count: int) -> None:
    expected = first_frames_after_centers(np.arange(count) / 10, seconds=count / 10, bins=8)
    levels = gray_levels(count)
    found = [int(abs(levels - gray_of(jpeg)).argmin()) for jpeg in grays.frames(str(count))]
    assert found == expected


def test_frames_are_chosen_by_time_where_the_rate_varies(grays: Any) -> None:
    times = np.array([n / 10 for n in range(20) if n % 7 < 3])
    expected = first_frames_after_centers(
        times, seconds=grays.rows["uneven"]["duration_seconds"], bins=8
    )
    assert grays.record("uneven")["times"] == times[expected].tolist()


def test_a_clip_of_one_frame_keeps_it_if_that_is_enough(
    media: Path, tmp_path: Path, make_gray: MakeMedia, run_stages: Any
) -> None:
    make_gray(media / "a.mp4", [100])
    settings = SETTINGS_OF_ONE_FRAME
    chunk = run_stages(media, [{"video_id": "a"}], output=tmp_path, settings=settings)
    assert len(chunk.frames("a")) == chunk.rows["a"]["bins_hit"] == 1


# --- sound -------------------------------------------------------------------------------------


def test_stereo_becomes_the_mean_of_both_sides(
    media: Path, tmp_path: Path, make_media: MakeMedia, run_stages: Any
) -> None:
    left_only = "aevalsrc=0.5*sin(2764*t)|0:s=44100:d=1"
    make_media(media / "a.mkv", "-c:a", "pcm_s16le", sound=left_only)
    chunk = run_stages(media, [{"video_id": "a"}], output=tmp_path)
    assert chunk.sound("a").max() / 32768 == pytest.approx(0.25, abs=0.01)


def test_sound_beyond_the_limit_is_not_kept(
    media: Path, tmp_path: Path, make_media: MakeMedia, run_stages: Any
) -> None:
    make_media(media / "a.mp4")
    settings = SETTINGS_OF_ONE_FRAME.model_copy(update={"max_seconds": 1.5})
    chunk = run_stages(media, [{"video_id": "a"}], output=tmp_path, settings=settings)
    assert chunk.rows["a"]["audio_seconds"] == 1.5


# --- parts of a file ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parts(
    tmp_path_factory: pytest.TempPathFactory,
    make_gray: MakeMedia,
    make_media: MakeMedia,
    run_stages: Any,
) -> Any:
    folder = tmp_path_factory.mktemp("parts")
    levels = list(range(20, 220, 5))  # 40 frames, 4 s
    make_gray(folder / "media" / "film.mp4", levels, "-g", "15")
    whole = make_media(folder / ".whole.mp4", "-movflags", "+faststart").read_bytes()
    (folder / "media" / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    records = [
        {"video_id": "middle", "source_id": "film", "start": 1, "end": 3},
        {"video_id": "rest", "source_id": "film", "start_seconds": 3},
        {"video_id": "beyond", "source_id": "film", "start": 5, "end": 6},
        {"video_id": "spanned", "source_id": "film", "clip_span": ["00:00:01.0", "00:00:03.0"]},
        {"video_id": "film", "clip_span": ["00:05:00.0", "00:05:04.0"]},
        {"video_id": "before_the_cut", "source_id": "cut", "start": 0, "end": 0.4},
    ]
    return run_stages(folder / "media", records, output=folder / "out")


def test_a_part_keeps_frames_of_the_part(parts: Any) -> None:
    levels = [gray_of(jpeg) for jpeg in parts.frames("middle")]
    frames = first_frames_after_centers(np.arange(20) / 10, seconds=2, bins=8)
    assert levels == pytest.approx([20 + 5 * (10 + frame) for frame in frames], abs=2.5)


def test_times_of_a_part_count_from_its_start(parts: Any) -> None:
    times = parts.record("middle")["times"]
    assert times == [0.2, 0.4, 0.7, 0.9, 1.2, 1.4, 1.7, 1.9]


def test_a_part_without_an_end_goes_to_the_end(parts: Any) -> None:
    assert parts.rows["rest"]["duration_seconds"] == 1.0


def test_a_part_behind_the_end_is_set_aside(parts: Any) -> None:
    assert parts.rows["beyond"]["status"] == "too_short"
    assert "ends at 4.00 s, the clip starts at 5.00 s" in parts.rows["beyond"]["reason"]


def test_a_span_of_a_source_is_a_part(parts: Any) -> None:
    assert parts.rows["spanned"]["duration_seconds"] == 2.0


def test_a_span_of_a_clip_that_was_cut_out_already_is_no_part(parts: Any) -> None:
    assert parts.rows["film"]["duration_seconds"] == 4.0


def test_a_part_before_the_cut_of_a_file_is_used(parts: Any) -> None:
    assert parts.rows["before_the_cut"]["status"] == "ok"


# --- a program that fails ----------------------------------------------------------------------


@pytest.fixture
def run_with(
    media: Path,
    tmp_path: Path,
    make_media: MakeMedia,
    run_stages: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Run the stages on one clip with a shell script in ffmpeg's place."""

    def run(script: str, **settings: float) -> Any:
        make_media(media / "a.mp4", picture="testsrc2=s=32x32:r=10:d=0.2")
        program = tmp_path / "ffmpeg"
        version = 'if [ "$1" = -version ]; then echo ffmpeg version 0.test; exit; fi'
        program.write_text(f"#!/bin/sh\n{version}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("GRAM_FFMPEG", str(program))
        chosen = SETTINGS_OF_ONE_FRAME.model_copy(update=settings)
        return run_stages(media, [{"video_id": "a"}], output=tmp_path / "out", settings=chosen)

    return run


def test_a_full_disk_stops_the_job_and_blames_no_clip(
    run_with: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = rf"no space to write in {tmp_path}: \d+ MiB are free .* set TMPDIR\), and run again"
    with pytest.raises(OSError, match=words):
        run_with("echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1")
    assert not (tmp_path / "out" / "clips.tar").exists()


def test_a_stalled_clip_is_set_aside_at_the_limit(run_with: Callable[..., Any]) -> None:
    row = run_with("sleep 60", timeout_seconds=0.01).rows["a"]
    assert row["status"] == "timeout"
    assert row["reason"] == "a.mp4 took longer than 0.41 s (extraction.timeout_seconds)"


def test_the_last_line_that_says_something_is_the_reason(run_with: Callable[..., Any]) -> None:
    said = "echo '[h264 @ 0x55fc5b29aa80] broken thing' >&2; echo 'Conversion failed!' >&2; exit 1"
    row = run_with(said).rows["a"]
    assert row["reason"] == "a.mp4 has a damaged picture: [h264] broken thing"


def test_a_damaged_sound_is_told_from_a_damaged_picture(run_with: Callable[..., Any]) -> None:
    said = 'case "$*" in *"-map 0:0 "*null*) exit 0;; esac; echo "[aac] broken" >&2; exit 1'
    row = run_with(said).rows["a"]
    assert row["reason"] == "a.mp4 has a damaged sound: [aac] broken"


def test_a_file_whose_streams_are_fine_alone_is_set_aside_too(run_with: Callable[..., Any]) -> None:
    said = 'case "$*" in *null*) exit 0;; esac; echo "too many packets" >&2; exit 1'
    row = run_with(said).rows["a"]
    assert row["reason"] == "a.mp4 cannot be decoded: too many packets"
