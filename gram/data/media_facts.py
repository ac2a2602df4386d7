"""What a media file says of itself, read by PyAV in a process of its own.

``python -m gram.data.media_facts`` reads one path a line (as JSON) and answers with one line of
facts each. It runs apart from the job because the libraries below parse bytes of strangers: a
file that crashes or stalls them costs that file.
"""

import json
import logging
import math
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

import av
import av.logging
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from gram.data.ffmpeg import FORMAT_WHITELIST, MAX_PIXELS, PROTOCOL_WHITELIST
from gram.data.media_files import PICTURE_SUFFIXES
from gram.data.sound_ends import is_cut_frame, is_cut_ogg, mp3_length_tag, mp3_stated_bytes
from gram.data.status import Medium, Status

READY = "ready"
"""First line that the process writes."""

_PICTURES = {
    b"\xff\xd8\xff": "jpeg_pipe",
    b"\x89PNG\r\n\x1a\n": "png_pipe",
    b"II*\0": "tiff_pipe",
    b"MM\0*": "tiff_pipe",
}
"""First bytes of still pictures, and ffmpeg's names of their formats."""

_FRAMES_ALONE = ("mp3", "aac")
"""Formats of sound without a header of the whole; a length is guessed from the first bit rate."""


@dataclass(frozen=True, kw_only=True)
class MediaFacts:
    """Facts of one media file; what could not be read is None.

    Attributes:
        status: OK, or why the file cannot be used.
        medium: What it is; None unless the status is OK.
        reason: Why, in words; None if the status is OK.
        cut: What tells that the file lacks its end; None: nothing does.
        file_seconds: Length of the picture, from its first frame to the end of its last; of the
            sound where there is no picture; None of a still picture.
        container: Names of the container format.
        video_stream: Number of the stream that is the picture; None if there is none.
        video_codec: Its codec.
        width: Width as coded, in pixels.
        height: Height as coded, in pixels.
        frame_rate: Average frame rate, in Hz.
        picture_start_seconds: How much later than the file its picture begins.
        audio_stream: Number of the stream that is the sound; None if there is none.
        audio_codec: Its codec.
        sample_rate_hz: Its sample rate.
        channels: Its channels.
    """

    status: Status = Status.OK
    medium: Medium | None = None
    reason: str | None = None
    cut: str | None = None
    file_seconds: float | None = None
    container: str | None = None
    video_stream: int | None = None
    video_codec: str | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    picture_start_seconds: float | None = None
    audio_stream: int | None = None
    audio_codec: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None


def read_facts(path: Path) -> MediaFacts:
    """Read the facts of one file. A file that cannot be read is a fact, not an exception."""
    try:
        state = path.stat()
    except OSError as error:
        return MediaFacts(status=Status.UNREADABLE, reason=f"cannot be opened: {error.strerror}")
    if not stat.S_ISREG(state.st_mode):  # to open a pipe would wait for one who writes to it
        return MediaFacts(status=Status.UNREADABLE, reason="is not a regular file")
    if state.st_size == 0:
        return MediaFacts(status=Status.UNREADABLE, reason="is empty (0 bytes)")
    options = {"format_whitelist": FORMAT_WHITELIST, "protocol_whitelist": PROTOCOL_WHITELIST}
    try:
        picture_format = _picture_format(path)
        # Non-UTF-8 titles are common and say nothing that is read here.
        with av.open(
            f"file:{path.absolute()}",
            format=picture_format,
            options=options,
            metadata_errors="replace",
        ) as media:
            return _facts_of_picture(media, path) if picture_format else _facts_of(media, path)
    except av.FFmpegError as error:
        return _facts_of_failure(error)
    except OSError as error:
        return MediaFacts(status=Status.UNREADABLE, reason=f"cannot be read: {error.strerror}")


def _picture_format(path: Path) -> str | None:
    """Give ffmpeg's name of the format of a still picture, by its first bytes; None: it is none."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return "webp_pipe"
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "bmp_pipe"
    return next((name for start, name in _PICTURES.items() if head.startswith(start)), None)


def _facts_of_picture(media: InputContainer, path: Path) -> MediaFacts:
    """Give the facts of a still picture; one by the name of a film is a mistake, no film."""
    container = media.format.name
    kind = container.removesuffix("_pipe")
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        reason = (
            f"is a still picture ({kind}) by the name of a film; name it .{kind} if it is meant"
        )
        return MediaFacts(status=Status.NO_VIDEO, reason=reason, container=container)
    video = _choose_video(media)
    if video is None:
        reason = f"is a still picture ({kind}) whose size cannot be read"
        return MediaFacts(status=Status.UNREADABLE, reason=reason, container=container)
    if problem := _too_large(video):
        return MediaFacts(status=Status.UNREADABLE, reason=problem, container=container)
    return MediaFacts(
        medium=Medium.PICTURE,
        container=container,
        video_stream=video.index,
        video_codec=video.codec_context.codec.canonical_name,
        width=video.width,
        height=video.height,
    )


def _too_large(video: VideoStream) -> str | None:
    """Say what is wrong with the size of a picture, if something is."""
    if video.width * video.height <= MAX_PIXELS:
        return None
    return (
        f"has pictures of {video.width} x {video.height} pixels, where {MAX_PIXELS} are the most "
        "that is decoded; make it smaller"
    )


def _facts_of_failure(error: av.FFmpegError) -> MediaFacts:
    _, name, message = error.log or (0, "", "")  # type: ignore[misc] # av declares two
    if "not on whitelist" not in message:
        reason = message.strip() or error.strerror
        return MediaFacts(status=Status.UNREADABLE, reason=f"cannot be opened as a video: {reason}")
    if name.endswith("_pipe") or name == "image2":
        return MediaFacts(status=Status.NO_VIDEO, reason=f"is a still picture ({name})")
    return MediaFacts(
        status=Status.UNREADABLE,
        reason=f"is of the format {name}, which is not read; convert it to mp4 or mkv",
    )


def _facts_of(media: InputContainer, path: Path) -> MediaFacts:
    container = media.format.name
    video = _choose_video(media)
    if video is None:
        return _facts_without_video(media, path)
    if problem := _too_large(video):
        return MediaFacts(status=Status.UNREADABLE, reason=problem, container=container)
    rate = video.average_rate or video.guessed_rate
    seconds = _picture_seconds(media, video)
    if seconds is None:
        reason = "has a video track without a single frame"
        return MediaFacts(status=Status.TOO_SHORT, reason=reason, container=container)
    return MediaFacts(
        medium=Medium.FILM,
        cut=_cut_of_index(media, path),
        file_seconds=seconds,
        container=container,
        video_stream=video.index,
        video_codec=video.codec_context.codec.canonical_name,
        width=video.width,
        height=video.height,
        frame_rate=float(rate) if rate else None,
        picture_start_seconds=_picture_start(media, video),
        **_facts_of_track(media.streams.best("audio", related=video)),
    )


class _SoundFacts(TypedDict, total=False):
    audio_stream: int
    audio_codec: str
    sample_rate_hz: int
    channels: int


def _facts_of_track(audio: Stream | None) -> _SoundFacts:
    """Give the facts of a sound track; none if there is none, or none that can be read."""
    sound = audio.codec_context if audio is not None else None
    if audio is None or not isinstance(sound, AudioCodecContext) or not sound.sample_rate:
        return {}
    return {
        "audio_stream": audio.index,
        "audio_codec": sound.codec.canonical_name,
        "sample_rate_hz": sound.sample_rate,
        "channels": sound.layout.nb_channels,
    }


def _choose_video(media: InputContainer) -> VideoStream | None:
    """Choose the stream that players show; a cover picture is none."""
    films = [
        stream
        for stream in media.streams.video
        if not stream.disposition & Disposition.attached_pic
        and stream.codec_context is not None
        and stream.width > 0
        and stream.height > 0
    ]
    best = media.streams.best("video")
    return best if best in films else next(iter(films), None)


def _facts_without_video(media: InputContainer, path: Path) -> MediaFacts:
    container = media.format.name
    covers = [s for s in media.streams.video if s.disposition & Disposition.attached_pic]
    broken = [s for s in media.streams.video if s not in covers]
    if broken:
        reason = "has a video track whose codec or picture size cannot be read"
        return MediaFacts(status=Status.UNREADABLE, reason=reason, container=container)
    audio = media.streams.best("audio")
    if audio is not None and (track := _facts_of_track(audio)):
        return _facts_of_sound(media, path, audio=audio, track=track)
    kinds = sorted({stream.type for stream in media.streams if stream not in covers})
    if not covers and not set(kinds) & {"audio", "subtitle"}:
        reason = "has no track that can be read"
        return MediaFacts(status=Status.UNREADABLE, reason=reason, container=container)
    found = ", ".join(kinds)
    cover = " and a cover picture" if covers else ""
    reason = f"has no video track (found {found}{cover})"
    return MediaFacts(status=Status.NO_VIDEO, reason=reason, container=container)


def _facts_of_sound(
    media: InputContainer, path: Path, *, audio: Stream, track: _SoundFacts
) -> MediaFacts:
    """Give the facts of a file that is sound alone."""
    container = media.format.name
    if container in _FRAMES_ALONE:
        seconds, cut = _read_frames(media, path, audio)
    else:
        seconds = _sound_seconds(media, audio)
        cut = _cut_of_pages(path) if container == "ogg" else _cut_of_index(media, path)
    if seconds is None:
        reason = "has a sound track without a single sample"
        return MediaFacts(status=Status.NO_AUDIO, reason=reason, container=container)
    return MediaFacts(
        medium=Medium.SOUND,
        cut=cut,
        file_seconds=seconds,
        container=container,
        **track,
    )


def _sound_seconds(media: InputContainer, audio: Stream) -> float | None:
    """Give the length of a sound; read through the file only if no header tells it."""
    if audio.duration and audio.time_base:
        return float(audio.duration * audio.time_base)
    if media.duration:
        return media.duration / av.time_base
    return _demux(media, audio).seconds


def _read_frames(
    media: InputContainer, path: Path, audio: Stream
) -> tuple[float | None, str | None]:
    """Read through frames without a header of the whole: their length, and what tells of a cut."""
    container = media.format.name
    tag = mp3_length_tag(path) if container == "mp3" else None
    stated = None if tag is None else mp3_stated_bytes(tag)
    read = _demux(media, audio)
    seconds = read.seconds if tag is None else _sound_seconds(media, audio)
    size = path.stat().st_size
    if stated is not None and stated > size:
        return seconds, f"its first frame announces {stated} bytes, and it has {size}"
    return seconds, "its last frame is cut off" if is_cut_frame(read.last, container) else None


def _cut_of_pages(path: Path) -> str | None:
    """Say what tells that an Ogg file lacks its end."""
    return "its last page is cut off" if is_cut_ogg(path) else None


def _picture_seconds(media: InputContainer, video: VideoStream) -> float | None:
    """Give the length of the picture; read through the file only if no header tells it."""
    if video.duration and video.time_base:
        return float(video.duration * video.time_base)
    start, end = _picture_start(media, video), _clock_seconds(video.metadata.get("DURATION", ""))
    if end is not None and "_STATISTICS_WRITING_APP" in video.metadata:
        return end  # mkvmerge counts from the first frame
    if "matroska" in media.format.name and media.start_time is not None:
        start += media.start_time / av.time_base  # other writers count from the clock's zero
    if end is None and media.duration:
        end = media.duration / av.time_base
    if end is not None and end > start:
        return end - start
    return _demux(media, video).seconds


def _picture_start(media: InputContainer, video: VideoStream) -> float:
    """Give how much later than the file its picture begins, in seconds; 0 if no header tells."""
    if video.start_time is None or not video.time_base or media.start_time is None:
        return 0.0
    return max(float(video.start_time * video.time_base) - media.start_time / av.time_base, 0.0)


def _clock_seconds(text: str) -> float | None:
    """Read Matroska's HH:MM:SS.nnnnnnnnn; None if it is not of that form or zero."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) and total > 0 else None


class _Demuxed(NamedTuple):
    """What reading through a stream tells.

    Attributes:
        seconds: Its length; None if it has none.
        last: Bytes of its last packet; empty if it has none.
    """

    seconds: float | None
    last: bytes


def _demux(media: InputContainer, stream: Stream) -> _Demuxed:
    """Measure a stream by the times of its packets, as a live recording has no length."""
    first, last, longest = math.inf, -math.inf, 0.0
    content = b""
    for packet in media.demux(stream):
        content = bytes(packet) if packet.size else content
        if packet.pts is None or packet.time_base is None:
            continue
        start = float(packet.pts * packet.time_base)
        longest = max(longest, float((packet.duration or 0) * packet.time_base))
        first, last = min(first, start), max(last, start)
    return _Demuxed(last + longest - first if last + longest > first else None, content)


def _cut_of_index(media: InputContainer, path: Path) -> str | None:
    """Say what tells that an MP4 lacks its end: its index names the place of every frame."""
    if "mp4" not in media.format.name:
        return None
    size = path.stat().st_size
    is_cut = any(
        entry.pos + entry.size > size
        for stream in media.streams
        if stream.type in {"video", "audio"}
        for entry in stream.index_entries
    )
    return "the index at its start names bytes behind the last one" if is_cut else None


def main() -> None:
    """Answer paths on standard input until it ends."""
    av.logging.set_level(av.logging.ERROR)  # or the errors would come without their messages
    logging.getLogger("libav").propagate = False
    logging.getLogger("libav").addHandler(logging.NullHandler())
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        facts = read_facts(Path(json.loads(line)))
        sys.stdout.write(json.dumps(asdict(facts)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
