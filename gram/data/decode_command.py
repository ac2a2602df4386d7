"""The ffmpeg call that decodes one clip: which frames are kept, how they and the sound come out.

Time bins: the clip's length D is divided into N equal bins, and of each bin the first frame at or
after its center is kept. This needs no frame count, which containers state wrongly, and is right
at a variable frame rate. A clip of few frames hits fewer bins, a file that was cut hits too few.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from gram.config import ExtractionConfig
from gram.data.ffmpeg import FORMAT_WHITELIST, MAX_PIXELS, PROTOCOL_WHITELIST
from gram.data.sound import SAMPLE_RATE_HZ

TIMES_FILE, KEPT_TIMES_FILE, SOUND_FILE = "times.txt", "kept.txt", "sound.s16"
"""Files in the clip's own temporary folder; fixed names, so none holds a part of a clip's name."""

_QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
_STRICT = ("-xerror",)
"""Any damage ends ffmpeg: without, it reports success on files that are cut or have flipped bytes,
and gives smeared frames."""
_PATIENT = ("-max_error_rate", "1")
"""No damage ends ffmpeg: without, it would give up a file whose sound alone is lost."""


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """What is decoded.

    Attributes:
        media: The file.
        video_stream: Number of its stream that is the picture; None: it is sound alone.
        audio_stream: Number of its stream that is the sound; None if there is none.
        start_seconds: Where the clip starts in the file; None: at the file's start.
        end_seconds: Where the clip ends in the file; None: at the file's end.
        duration_seconds: Length of the clip's picture, or of its sound where it has no other; None
            for a still picture.
        picture_format: ffmpeg's name of the format of a still picture; None: it is none.
    """

    media: Path
    video_stream: int | None
    audio_stream: int | None
    start_seconds: float | None
    end_seconds: float | None
    duration_seconds: float | None
    picture_format: str | None = None

    @property
    def is_part(self) -> bool:
        """Whether the clip is a part of a longer file."""
        return self.start_seconds is not None or self.end_seconds is not None


def decode_command(
    source: ClipSource, settings: ExtractionConfig, *, program: Path, is_strict: bool = True
) -> list[str | Path]:
    """Build the call: pictures in PPM form to standard output, sound and times to files.

    Args:
        source: What is decoded.
        settings: What is kept.
        program: The ffmpeg program. It runs in the folder that gets the files.
        is_strict: Whether damage ends it.
    """
    stream = _open(source, is_strict=is_strict)
    outputs = []
    if source.video_stream is not None:
        frames = ffmpeg.output(
            _choose_frames(stream[str(source.video_stream)], source, settings),
            "pipe:1",
            format="image2pipe",
            vcodec="ppm",  # each picture states its size, which rotation and pixel shape decide
            pix_fmt="rgb24",
            fps_mode="passthrough",
            threads=1,
        )
        outputs.append(frames)
    if source.audio_stream is not None:
        sound = ffmpeg.output(
            stream[str(source.audio_stream)],
            SOUND_FILE,
            format="s16le",  # floats come 3 dB louder from stereo
            ac=1,
            ar=SAMPLE_RATE_HZ,
            af="aresample=async=1:first_pts=0",  # holes and a late start stay where they are
            t=settings.max_seconds,
        )
        outputs.append(sound)
    arguments: list[str] = ffmpeg.get_args(ffmpeg.merge_outputs(*outputs))
    manner = _STRICT if is_strict else _PATIENT
    return [program, *_QUIET, *manner, "-filter_complex_threads", "1", *arguments]


def check_command(source: ClipSource, stream: int, *, program: Path) -> list[str | Path]:
    """Build the call that decodes one stream and keeps nothing.

    With one stream the messages come in the same order each time.
    """
    output = ffmpeg.output(_open(source)[str(stream)], "-", format="null", threads=1)
    arguments: list[str] = ffmpeg.get_args(output)
    return [program, *_QUIET, *_STRICT, *arguments]


def _open(source: ClipSource, *, is_strict: bool = True) -> ffmpeg.nodes.Stream:
    part: dict[str, object] = {}
    if source.is_part:
        part = {"ss": source.start_seconds or 0.0, "t": source.duration_seconds}
    if source.picture_format is not None:
        part |= {"format": source.picture_format}  # or a % in its name would stand for other files
        if is_strict and source.picture_format == "jpeg_pipe":
            part |= {"err_detect": "explode"}  # or one that was cut would pass
    return ffmpeg.input(
        f"file:{source.media.absolute()}",
        format_whitelist=FORMAT_WHITELIST,
        protocol_whitelist=PROTOCOL_WHITELIST,
        threads=1,
        max_pixels=MAX_PIXELS,
        **{"reinit_filter:v": 0},  # a change of size would start the choice anew; it is stretched
        **part,
    )


def _choose_frames(
    stream: ffmpeg.nodes.FilterableStream, source: ClipSource, settings: ExtractionConfig
) -> ffmpeg.nodes.FilterableStream:
    """Keep one frame a time bin, and the first one for clips that have no other; scale them."""
    wide, high = "iw*sar", "ih"
    scale = f"min(1,{settings.short_side}/min({wide},{high}))"
    return (
        # The filter prints only frames that carry the note, and no notes of the file's own.
        stream.filter("metadata", mode="add", key="gram", value="1")
        .filter("metadata", mode="print", key="gram", file=TIMES_FILE)
        .filter("select", _choice(source, settings))
        .filter("metadata", mode="print", key="gram", file=KEPT_TIMES_FILE)
        .filter(
            "scale",
            w=f"2*max(1,round({wide}*{scale}/2))",
            h=f"2*max(1,round({high}*{scale}/2))",
        )
        .filter("setsar", 1)
    )


def _choice(source: ClipSource, settings: ExtractionConfig) -> str:
    """Give the expression that is true for the frames that are kept."""
    if source.duration_seconds is None:
        return "isnan(prev_t)"
    origin = "0" if source.is_part else "start_t"
    last = settings.frames_per_clip - 1
    per_second = settings.frames_per_clip / source.duration_seconds
    bins = [f"min({last},floor(({t}-{origin})*{per_second}-0.5+1e-6))" for t in ("t", "prev_t")]
    return f"if(isnan(prev_t),1,gt({bins[0]},{bins[1]}))"


def bin_of(seconds: float, *, bins: int, duration_seconds: float) -> int:
    """Give the last bin whose center lies at or before a time; -1 before the first center."""
    return min(bins - 1, math.floor(seconds * bins / duration_seconds - 0.5 + 1e-6))


def reachable_bins(num_frames: int, bins: int) -> int:
    """Give how many of the time bins a clip of evenly spaced frames hits; at least 1.

    Example:
        >>> reachable_bins(3, 32), reachable_bins(16, 8), reachable_bins(1, 32)
        (2, 8, 1)
    """
    found = {math.floor(n * bins / num_frames - 0.5 + 1e-6) for n in range(num_frames)}
    return max(1, len(found - {-1}))
