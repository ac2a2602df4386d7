"""One clip of a video site, cut out of its video, whole or not at all. By yt-dlp."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import gram
from gram.config.fetch import FetchConfig
from gram.data.ffmpeg import find_ffmpeg
from gram.data.media_files import SUFFIXES
from gram.data.status import Status
from gram.fetch.content import check_content
from gram.fetch.errors import FetchError
from gram.fetch.http import check_address
from gram.fetch.site_messages import broken_by, shortened, status_of, video_seconds
from gram.files import DiskFullError

log = logging.getLogger(__name__)

JS_RUNTIMES = ("deno", "node", "bun")
"""Programs of which yt-dlp needs one to read pages of YouTube."""

POLL_SECONDS = 0.5

NO_SPACE = ("No space left on device", "Disk quota exceeded")


SLACK_SECONDS = 1.0
"""What a clip may lack of its length: a picture may last that long."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a clip is on the web.

    Attributes:
        source_id: Name that its file shall have, without the suffix.
        url: Address of the page or file of its video.
        start_seconds: Where it begins in the video; None: at its start.
        end_seconds: Where it ends; None: at its end.
    """

    source_id: str
    url: str
    start_seconds: float | None = None
    end_seconds: float | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it is a part of its video."""
        return self.start_seconds is not None or self.end_seconds is not None


@dataclass(frozen=True, kw_only=True)
class _Came:
    """What the process left in its folder.

    Attributes:
        name: Name of the file.
        seconds: Length of a clip that was cut out; None: it has none, or the video came whole.
        video_seconds: Length of the video that it was cut out of; None: not said.
    """

    name: str
    seconds: float | None
    video_seconds: float | None


def fetch_clip(
    place: Place, media: Path, settings: FetchConfig, *, stop: threading.Event | None = None
) -> Path:
    """Fetch a clip into a folder.

    Args:
        place: Where it is.
        media: The folder. While the clip comes it stands in a hidden folder below.
        settings: Sizes, limits and politeness.
        stop: Ends the fetching when it is set.

    Returns:
        The clip's file: its source id, and the suffix of what it is.

    Raises:
        FetchError: If it cannot be had, with the state that this makes of the clip.
        DiskFullError: If the disk is full.
        ValueError: If there is no ffmpeg.
    """
    check_address(place.url, came_from=place.url)
    check_name(place.source_id)
    _check_span(place)
    folder = media / f".fetch-{sha256(place.source_id.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    _tidy(folder, is_cut=place.is_cut)
    try:
        came = _run_child(place, folder, settings, stop or threading.Event())
        name = came.name
        wrong = check_content(folder / name, name=name)
        if Path(name).suffix.lower() not in SUFFIXES:
            wrong = f"its kind, {Path(name).suffix}, is none that is read"
        if wrong is not None:
            (folder / name).unlink()
            raise FetchError(f"{place.url} gives no media file: {wrong}", status=Status.FAILED)
        _check_length(place, came, folder)
        target = media / f"{place.source_id}{Path(name).suffix}"
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
        (folder / name).replace(target)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        with suppress(OSError):  # what came of a clip so far stays for the next start
            folder.rmdir()
    return target


def _tidy(folder: Path, *, is_cut: bool) -> None:
    """Leave of an earlier start only what can be gone on with; of a cut clip that is nothing."""
    for old in folder.iterdir():
        if is_cut or old.suffix not in {".part", ".ytdl"}:
            old.unlink()


def check_name(source_id: str) -> None:
    """Check that a source id can be the name of a media file.

    Raises:
        FetchError: If it cannot.
    """
    is_bad = set(source_id) & {"/", "\\", "\0"} or source_id.startswith(".")
    if is_bad or len(source_id.encode()) > 200:
        raise FetchError(
            f"the source id {source_id!r} cannot be the name of a file; correct the annotation",
            status=Status.NOT_FOUND,
        )


def _check_span(place: Place) -> None:
    start, end = place.start_seconds or 0.0, place.end_seconds
    if end is not None and end <= start:
        raise FetchError(
            f"{place.source_id} starts at {start:g} s and ends at {end:g} s of {place.url}; the "
            "end must come after the start: correct the annotation",
            status=Status.TOO_SHORT,
        )


def _check_length(place: Place, came: _Came, folder: Path) -> None:
    """Check that a clip that was cut out is as long as it was asked for, or as its video allows.

    Raises:
        FetchError: If it is not; then it is removed.
    """
    if not place.is_cut:
        return
    start, last = place.start_seconds or 0.0, came.video_seconds
    ends = [end for end in (place.end_seconds, last) if end is not None]
    seconds, whole = came.seconds or 0.0, min(ends) - start if ends else None
    if last is not None and last <= start:
        reason, status = f"ends at {last:.2f} s, the clip starts at {start:.2f} s", Status.TOO_SHORT
    elif came.seconds is None:
        reason, status = f"has no picture and no sound from {start:.2f} s on", Status.TOO_SHORT
    elif whole is not None and seconds < whole - min(SLACK_SECONDS, whole / 2):
        reason = f"gave {seconds:.2f} s, where {whole:.2f} s were asked for"
        # A video that does not say its length may end there, and will do so again.
        status = Status.TOO_SHORT if last is None else Status.NETWORK
    else:
        if last is not None and place.end_seconds is not None and place.end_seconds > last:
            log.warning(
                "%s: %s ends at %.2f s, before the clip's end at %.2f s; it is taken to there",
                place.source_id,
                place.url,
                last,
                place.end_seconds,
            )
        return
    (folder / came.name).unlink()
    raise FetchError(f"{place.url} {reason}", status=status)


def _run_child(place: Place, folder: Path, settings: FetchConfig, stop: threading.Event) -> _Came:
    """Let a process of its own fetch the clip, for as long as the settings allow."""
    request = {
        "url": place.url,
        "start_seconds": place.start_seconds,
        "end_seconds": place.end_seconds,
        "max_height": settings.max_height,
        "stall_seconds": min(60.0, settings.timeout_seconds),
        "tries": settings.tries,
        "pause_seconds": settings.pause_between_requests_seconds,
        "bytes_per_second": settings.bytes_per_second,
        "cookies": None if settings.cookies is None else str(Path(settings.cookies).absolute()),
        "ffmpeg": str(find_ffmpeg()),
        "js_runtimes": JS_RUNTIMES,
    }
    root = str(Path(gram.__file__).parents[1])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "gram.fetch.site_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search},
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    ) as child:
        try:
            said, errors = _talk(child, request, place, settings, stop)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    return _read_answer(said, errors, place=place, folder=folder)


def _talk(
    child: subprocess.Popen[str],
    request: object,
    place: Place,
    settings: FetchConfig,
    stop: threading.Event,
) -> tuple[str, str]:
    """Hand the process its request and wait for what it says, within the limit of time."""
    until = time.monotonic() + settings.timeout_seconds
    given: str | None = json.dumps(request) + "\n"
    while True:
        try:
            return child.communicate(given, timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            given = None  # it is kept from the first call
        if stop.is_set():
            raise FetchError(f"{place.url} was not waited for", status=Status.NETWORK)
        if time.monotonic() > until:
            raise FetchError(
                f"{place.url} took longer than {settings.timeout_seconds:g} s "
                "(fetch.timeout_seconds)",
                status=Status.TIMEOUT,
            )


def _read_answer(said: str, errors: str, *, place: Place, folder: Path) -> _Came:
    try:
        answer = json.loads(said.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise FetchError(f"fetching {place.url} crashed: {last}", status=Status.FAILED) from None
    if "file" in answer:
        return _Came(
            name=str(answer["file"]),
            seconds=answer.get("seconds"),
            video_seconds=video_seconds(errors),
        )
    message = answer["error"]
    if any(words in message or words in errors for words in NO_SPACE):
        raise DiskFullError(folder)
    status = status_of(message)
    if (broken := broken_by(errors)) is not None and status is Status.FAILED:
        message, status = f"{shortened(message)}: {broken}", status_of(broken)
        status = Status.NETWORK if status is Status.FAILED else status
    raise FetchError(f"{place.url}: {shortened(message)}", status=status)
