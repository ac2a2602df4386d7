"""One clip -> its frames and its sound, by one ffmpeg process that can be killed."""

import io
import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import simplejpeg
import soundfile
from numpy.typing import NDArray

from gram.config import ExtractionConfig
from gram.data.clip_statistics import is_black, loudness_dbfs, silent_share
from gram.data.decode_command import (
    KEPT_TIMES_FILE,
    SOUND_FILE,
    TIMES_FILE,
    ClipSource,
    bin_of,
    check_command,
    decode_command,
    reachable_bins,
)
from gram.data.ffmpeg import Finished, run
from gram.data.sound import SAMPLE_RATE_HZ
from gram.data.status import Status
from gram.files import MIN_FREE_BYTES, DiskFullError, full_disk_explained

CHROMA = "420"
"""JPEG chroma subsampling: that of nearly every video, 30 percent faster to decode than 444."""

MAX_SIDE = 65_500
"""Pixels of the longest side that a JPEG can have."""

LONGEST_SECONDS = 24 * 3600.0
"""Length up to which a clip's announced length adds to the time limit; a file may announce any."""

_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_TIME = re.compile(r"frame:\d+ .*pts_time:(-?[.\de+-]+)\n")
_DAMAGED = (Status.UNREADABLE, Status.TRUNCATED)
_CUT = re.compile(r"partial file|ended prematurely|[Tt]runcated")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What came out of a clip.

    Attributes:
        status: OK, or why the clip is set aside.
        reason: Why, in words; None if the status is OK.
        jpegs: Kept frames as JPEG, in order of time; none of sound alone, or unless the status is
            OK.
        times: Time of each, in seconds from the clip's start.
        bins_hit: Number of time bins that a frame was found for.
        decoded_frames: Number of all frames of the clip.
        black_share: Share of the kept frames that are black, 0 to 1; None if there is none.
        flac: Sound as FLAC, 16 bit, mono, ``SAMPLE_RATE_HZ``; None if there is none.
        audio_seconds: Length of the sound.
        loudness_dbfs: Its root mean square, in dB of full scale; None if there is none.
        silent_share: Share of its tenths of a second that are silent; None if there is none.
        decode_errors: Errors that ffmpeg reported and went on.
    """

    status: Status
    reason: str | None = None
    jpegs: tuple[bytes, ...] = ()
    times: tuple[float, ...] = ()
    bins_hit: int = 0
    decoded_frames: int = 0
    black_share: float | None = None
    flac: bytes | None = None
    audio_seconds: float = 0.0
    loudness_dbfs: float | None = None
    silent_share: float | None = None
    decode_errors: int = 0


@dataclass
class _Pictures:
    """Kept frames, while they come out of ffmpeg; too large a one ends them."""

    jpegs: list[bytes] = field(default_factory=list)
    blacks: list[bool] = field(default_factory=list)
    too_large: str | None = None


@dataclass(kw_only=True)
class _Times:
    """Times of a clip's frames, without the frames of hours in memory."""

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    longest_gap: float = 0.0

    def add(self, seconds: float) -> None:
        if not self.count:
            self.first = self.last = seconds
        self.longest_gap = max(self.longest_gap, seconds - self.last)
        self.last = seconds
        self.count += 1


def decode_clip(source: ClipSource, settings: ExtractionConfig, *, program: Path) -> Decoded:
    """Decode one clip. A clip that cannot be used is a result, not an exception.

    Args:
        source: What is decoded.
        settings: What is kept.
        program: The ffmpeg program.

    Raises:
        DiskFullError: If the disk of the temporary folder is full.
        OSError: If ffmpeg cannot be started.
    """
    decoded = _decode(source, settings, program=program, is_strict=True)
    if decoded.status in _DAMAGED and settings.damaged == "keep":
        decoded = _decode(source, settings, program=program, is_strict=False)
    return decoded


def _decode(
    source: ClipSource, settings: ExtractionConfig, *, program: Path, is_strict: bool
) -> Decoded:
    seconds = min(source.duration_seconds or 0.0, LONGEST_SECONDS)
    limit_seconds = settings.timeout_seconds + 2 * seconds
    pictures = _Pictures()
    temporary = Path(tempfile.gettempdir())
    with full_disk_explained(temporary), tempfile.TemporaryDirectory(prefix="gram-") as name:
        folder = Path(name)
        finished = run(
            decode_command(source, settings, program=program, is_strict=is_strict),
            timeout_seconds=limit_seconds,
            folder=folder,
            read_output=partial(_encode_frames, pictures=pictures, quality=settings.jpeg_quality),
        )
        if pictures.too_large is not None:
            reason = f"{source.media.name} {pictures.too_large}"
            return Decoded(status=Status.UNREADABLE, reason=reason)
        if finished.returncode == 0:
            decoded = _collect(folder, pictures, finished, source=source, settings=settings)
        else:
            _check_space(finished, folder)
            decoded = _failure(finished, source, limit_seconds, program=program)
        if decoded.status is not Status.OK:
            _check_space(finished, folder)  # ffmpeg does not mind if its list of times is short
    return decoded


# --- what came out ---------------------------------------------------------------------------


def _encode_frames(stream: IO[bytes], *, pictures: _Pictures, quality: int) -> None:
    """Read pictures in PPM form until the stream ends, and add each as a JPEG."""
    while stream.readline() == b"P6\n":
        width, height = (int(number) for number in stream.readline().split())
        stream.readline()  # the largest value, 255
        if max(width, height) > MAX_SIDE:
            pictures.too_large = (
                f"has a picture of {width} x {height} pixels once its pixels are square; no side "
                f"may be longer than {MAX_SIDE}"
            )
            return
        pixels = stream.read(3 * width * height)
        if len(pixels) < 3 * width * height:
            return  # the process died; its exit status says so
        picture_hwc = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        pictures.jpegs.append(simplejpeg.encode_jpeg(picture_hwc, quality, "RGB", CHROMA))
        pictures.blacks.append(is_black(picture_hwc))


def _read_times(path: Path) -> Iterator[float]:
    """Read frame times, in seconds from the start of the file or of the part."""
    if path.exists():
        with path.open(encoding="ascii") as lines:
            for line in lines:
                if match := _TIME.match(line):
                    yield float(match[1])


def _read_sound(path: Path) -> NDArray[np.int16]:
    if not path.exists():
        return np.zeros(0, np.int16)
    return np.fromfile(path, "<i2")


def _encode_sound(samples_n: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples_n, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _origin(times: _Times, source: ClipSource) -> float:
    """Give the time that the first bin starts at."""
    return 0.0 if source.is_part else times.first


def _collect(
    folder: Path,
    pictures: _Pictures,
    finished: Finished,
    *,
    source: ClipSource,
    settings: ExtractionConfig,
) -> Decoded:
    """Put together what ffmpeg left in the folder and in the pipe, and check it."""
    times, jpegs, blacks = _Times(), pictures.jpegs, pictures.blacks
    for seconds in _read_times(folder / TIMES_FILE):
        times.add(seconds)
    kept_times = list(_read_times(folder / KEPT_TIMES_FILE))
    samples_n = _read_sound(folder / SOUND_FILE)
    if len(jpegs) != len(kept_times):
        reason = f"{source.media.name} gave {len(jpegs)} pictures for {len(kept_times)} frames"
        return Decoded(status=Status.UNREADABLE, reason=reason)
    if len(jpegs) > 1 and _first_bin(kept_times[0], times, source=source, settings=settings) < 0:
        del jpegs[0], blacks[0], kept_times[0]  # kept for clips of one frame; in front of all bins
    decoded = Decoded(
        status=Status.OK,
        jpegs=tuple(jpegs),
        times=tuple(kept_times),
        bins_hit=len(jpegs),
        decoded_frames=times.count,
        black_share=sum(blacks) / len(blacks) if blacks else None,
        flac=_encode_sound(samples_n) if len(samples_n) else None,
        audio_seconds=len(samples_n) / SAMPLE_RATE_HZ,
        loudness_dbfs=loudness_dbfs(samples_n),
        silent_share=silent_share(samples_n, sample_rate_hz=SAMPLE_RATE_HZ),
        decode_errors=finished.num_messages,
    )
    if source.picture_format is not None:
        return _check_picture(decoded, source)
    if source.video_stream is None:
        return _check_sound(decoded, source, settings)
    return _check_frames(decoded, times, source=source, settings=settings)


def _first_bin(
    seconds: float, times: _Times, *, source: ClipSource, settings: ExtractionConfig
) -> int:
    """Give the time bin of the first frame that was kept."""
    assert source.duration_seconds is not None  # noqa: S101 - a still picture keeps one frame
    return bin_of(
        seconds - _origin(times, source),
        bins=settings.frames_per_clip,
        duration_seconds=source.duration_seconds,
    )


def _check_picture(decoded: Decoded, source: ClipSource) -> Decoded:
    """Set a still picture aside that gave none."""
    if decoded.jpegs:
        return decoded
    reason = f"{source.media.name} holds no picture that can be decoded"
    return Decoded(status=Status.UNREADABLE, reason=reason)


def _check_sound(decoded: Decoded, source: ClipSource, settings: ExtractionConfig) -> Decoded:
    """Set sound alone aside that is none, or that ends too early."""
    assert source.duration_seconds is not None  # noqa: S101 - a sound has a length
    name, found = source.media.name, decoded.audio_seconds
    if not found:
        return Decoded(status=Status.NO_AUDIO, reason=f"{name} holds no sound that can be decoded")
    wanted = min(source.duration_seconds, settings.max_seconds)
    if found >= settings.min_bins * wanted:
        return decoded
    reason = f"{name} has sound for {found:.2f} of {wanted:.2f} s (extraction.min_bins)"
    return Decoded(status=Status.TRUNCATED, reason=reason)


def _check_frames(
    decoded: Decoded, times: _Times, *, source: ClipSource, settings: ExtractionConfig
) -> Decoded:
    """Set a film aside that has too few frames, or that ends too early."""
    assert source.duration_seconds is not None  # noqa: S101 - a film has a length
    name, seconds = source.media.name, source.duration_seconds
    if times.count < settings.min_frames:
        reason = f"{name}: {times.count} of at least {settings.min_frames} frames"
        return Decoded(status=Status.TOO_SHORT, reason=f"{reason} (extraction.min_frames)")
    least = settings.min_bins * reachable_bins(times.count, settings.frames_per_clip)
    if decoded.bins_hit >= least:
        return decoded
    # A slide show leaves bins without a frame, too. It is whole if nothing was reported and
    # picture or sound go on to the end.
    end = max(times.last - _origin(times, source) + times.longest_gap, decoded.audio_seconds)
    if not decoded.decode_errors and end >= settings.min_bins * seconds:
        return decoded
    reason = (
        f"{name} has frames in {decoded.bins_hit} of {settings.frames_per_clip} time bins, the "
        f"last at {times.last:.2f} of {seconds:.2f} s; the least is {math.ceil(least)} bins "
        "(extraction.min_bins)"
    )
    return Decoded(status=Status.TRUNCATED, reason=reason)


def _failure(
    finished: Finished, source: ClipSource, limit_seconds: float, *, program: Path
) -> Decoded:
    """Give the result of a clip on which ffmpeg failed."""
    name = source.media.name
    if finished.is_timed_out:
        reason = f"{name} took longer than {limit_seconds:g} s (extraction.timeout_seconds)"
        return Decoded(status=Status.TIMEOUT, reason=reason)
    # ffmpeg 6 and later decode the streams at once and stop at the first error of any, so what
    # they say differs from time to time. Each stream alone says the same always.
    what = "cannot be decoded"
    for stream, part in ((source.video_stream, "picture"), (source.audio_stream, "sound")):
        if stream is None:
            continue
        alone = run(check_command(source, stream, program=program), timeout_seconds=limit_seconds)
        if alone.returncode != 0 and not alone.is_timed_out:
            finished, what = alone, f"has a damaged {part}"
            break
    said = finished.last_message.replace(f"file:{source.media.absolute()}: ", "")
    is_cut = any(_CUT.search(message) for message in finished.messages)
    status = Status.TRUNCATED if is_cut else Status.UNREADABLE
    return Decoded(status=status, reason=f"{name} {what}: {said}")


def _check_space(finished: Finished, folder: Path) -> None:
    """Raise if ffmpeg failed for want of space, which is no fault of the clip."""
    is_said = any(_FULL.search(message) for message in finished.messages)
    if is_said or shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        raise DiskFullError(folder.parent)
