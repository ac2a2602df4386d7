"""One clip by yt-dlp, in a process of its own, which a stall or a crash may cost.

Reads one request as JSON from standard input, works in the current folder, and writes one answer
as JSON to standard output: ``{"file": ..., "seconds": ...}`` or ``{"error": ...}``. What ffmpeg
says of the video comes over standard error.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import yt_dlp

from gram.data.media_facts import read_facts

STEM = "clip"
"""Name of the clip in the current folder, without its suffix."""


class _Words:
    """Takes what yt-dlp says; its errors come as exceptions too."""

    def debug(self, message: str) -> None:
        """Say nothing."""

    def warning(self, message: str) -> None:
        """Pass a warning on, for the log."""
        sys.stderr.write(f"{message}\n")

    def error(self, message: str) -> None:
        """Say nothing."""


def options(request: dict[str, Any]) -> dict[str, Any]:
    """Give yt-dlp's options for a request."""
    height = request["max_height"]
    chosen: dict[str, Any] = {
        "logger": _Words(),
        "noprogress": True,
        "noplaylist": True,
        "cachedir": False,
        "updatetime": False,
        "outtmpl": {"default": f"{STEM}.%(ext)s"},
        "format": f"bv*[height<={height}]+ba/b[height<={height}]/bv*+ba/b",
        "merge_output_format": "mp4/mkv",
        "socket_timeout": request["stall_seconds"],
        "retries": request["tries"],
        "fragment_retries": request["tries"],
        "extractor_retries": request["tries"],
        "sleep_interval_requests": request["pause_seconds"],
        "ratelimit": request["bytes_per_second"],
        "cookiefile": request["cookies"],
        "ffmpeg_location": request["ffmpeg"],
        "js_runtimes": {name: {} for name in request["js_runtimes"]},
    }
    if _is_cut(request):
        start, end = request["start_seconds"] or 0.0, request["end_seconds"] or float("inf")
        chosen["download_ranges"] = yt_dlp.utils.download_range_func(None, [(start, end)])
        chosen["force_keyframes_at_cuts"] = True
        # ffmpeg takes a connection that breaks for the end of the video, unless errors end it.
        chosen["external_downloader_args"] = {"ffmpeg": ["-xerror"]}
    return chosen


def _is_cut(request: dict[str, Any]) -> bool:
    return request["start_seconds"] is not None or request["end_seconds"] is not None


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """Fetch a clip into the current folder; give its name, or what the site said.

    Of a clip that is cut out its length is given too, in seconds; None: it has none.
    """
    try:
        with yt_dlp.YoutubeDL(options(request)) as site:
            site.download([request["url"]])
    except yt_dlp.utils.YoutubeDLError as error:
        return {"error": str(error.msg or error)}
    except OSError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    whole = [path.name for path in Path().glob(f"{STEM}.*") if path.suffix != ".part"]
    if len(whole) != 1:
        return {"error": f"yt-dlp left {len(whole)} files: {', '.join(sorted(whole)) or 'none'}"}
    if not _is_cut(request):
        return {"file": whole[0]}
    return {"file": whole[0], "seconds": read_facts(Path(whole[0])).file_seconds}


def _end_with(parent: int) -> None:
    """End this process and its ffmpeg when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answer = fetch(json.loads(sys.stdin.readline()))
    sys.stdout.write(json.dumps(answer) + "\n")
