"""What the words of yt-dlp and ffmpeg say about a video.

States are a closed list of patterns, the first that fits.
"""

import re

from gram.data.status import Status

_PATTERNS: tuple[tuple[Status, str], ...] = (
    # What YouTube says when it takes the machine for a robot also holds "unavailable" and
    # "sign in", so refusals come first, then countries, then rights, then what is gone.
    (
        Status.THROTTLED,
        r"not a bot|rate-limited|try again later\.|captcha|too many requests|HTTP Error 429"
        r"|HTTP Error 403|please sign in|below throttle limit",
    ),
    (
        Status.REGION,
        r"in your country|from your location|geo.?restrict|in your region|HTTP Error 451",
    ),
    (
        Status.PRIVATE,
        r"private video|is private|members.only|members on level|channel's members|premium members"
        r"|confirm your age|age.restricted|inappropriate for some users|requires payment"
        r"|only available for registered users|granted access|HTTP Error 401",
    ),
    (
        Status.DEAD,
        r"video unavailable|has been removed|no longer available|account .*terminated"
        r"|(?:video|playlist|page|account|channel|post|clip|media) does not exist"
        r"|(?:video|recording) is not available|been deleted|copyright claim"
        r"|HTTP Error 404|HTTP Error 410|incomplete youtube id",
    ),
    (Status.UNSUPPORTED, r"DRM.protect|unsupported url|not available on this app"),
    (Status.TIMEOUT, r"timed out|timeout"),
    (
        Status.NETWORK,
        r"HTTP Error 5\d\d|HTTP Error 408|connection|resolve|name resolution|name or service"
        r"|incomplete ?read|bytes read|network is unreachable|SSL|EOF occurred|content too short"
        r"|unable to download|giving up after",
    ),
)

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^(?:ERROR: *)?(?:\[[\w:+.]+\] *(?:[^\s:]+: )?)?")
_ADVICE = re.compile(
    r"[;.] (?:please report this issue|Also see|See +https?:|Use --cookies).*", re.S
)

_CONNECTION = re.compile(
    r"^\[(?:https?|tcp|tls) @ \w+\] (.+)|^https?://.*: (Input/output error)$", re.M
)
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+),", re.M)


def status_of(message: str) -> Status:
    """Tell what an error message of yt-dlp makes of a clip; ``failed`` if it fits no pattern.

    Example:
        >>> str(status_of("ERROR: [youtube] x: Private video. Sign in if you've been granted it"))
        'private'
    """
    plain = message.replace("\u2019", "'")
    for status, pattern in _PATTERNS:
        if re.search(pattern, plain, re.IGNORECASE):
            return status
    return Status.FAILED


def shortened(message: str) -> str:
    """Give the words of the site alone: no colors, no prefix, no advice on yt-dlp's options.

    Example:
        >>> shortened("ERROR: [youtube] a-b: Video unavailable. See  https://x.org for more")
        'Video unavailable'
    """
    plain = _PREFIX.sub("", _COLORS.sub("", message)).strip()
    return " ".join(_ADVICE.sub("", plain).split())[:300]


def broken_by(words: str) -> str | None:
    """Give what ffmpeg says of a connection that broke; None if it says nothing of it.

    Example:
        >>> broken_by("[tls @ 0x55] Error in the pull function.")
        'Error in the pull function.'
    """
    found = _CONNECTION.search(words)
    return None if found is None else (found[1] or found[2]).strip()


def video_seconds(words: str) -> float | None:
    """Give the length of the video that ffmpeg reads, of its shortest stream; None: not said.

    Example:
        >>> video_seconds("  Duration: 00:01:02.50, start: 0.000000, bitrate: 877 kb/s")
        62.5
    """
    lengths = [
        3600 * int(hours) + 60 * int(minutes) + float(seconds)
        for hours, minutes, seconds in _DURATION.findall(words)
    ]
    return min(lengths, default=None)
