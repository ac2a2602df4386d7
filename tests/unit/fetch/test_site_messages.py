import pytest

from gram.fetch.site_messages import shortened, status_of

RECORDED = [
    ("dead", "ERROR: [youtube] abc: Video unavailable"),
    ("dead", "ERROR: [youtube] abc: Video unavailable. This video is not available"),
    (
        "dead",
        "ERROR: [youtube] abc: Video unavailable. This video is no longer available because the "
        "YouTube account associated with this video has been terminated.",
    ),
    ("dead", "ERROR: [youtube] abc: This video has been removed by the uploader"),
    (
        "dead",
        "ERROR: [youtube] abc: This video has been removed for violating YouTube's Terms of "
        "Service",
    ),
    ("dead", "ERROR: [youtube] abc: This video does not exist."),
    (
        "dead",
        "ERROR: [youtube] abc: Video unavailable. This video is no longer available due to a "
        "copyright claim by a third party",
    ),
    ("dead", "ERROR: [youtube] abc: This live stream recording is not available."),
    (
        "dead",
        "ERROR: [generic] Unable to download webpage: HTTP Error 404: Not Found (caused by "
        "<HTTPError 404: Not Found>)",
    ),
    (
        "private",
        "ERROR: [youtube] abc: Private video. Sign in if you've been granted access to this "
        "video. Use --cookies-from-browser or --cookies for the authentication.",
    ),
    (
        "private",
        "ERROR: [youtube] abc: Join this channel to get access to members-only content like this "
        "video, and other exclusive perks.",
    ),
    (
        "private",
        "ERROR: [youtube] abc: Sign in to confirm your age. This video may be inappropriate for "
        "some users. Use --cookies-from-browser or --cookies for the authentication.",
    ),
    ("private", "ERROR: [youtube] abc: This video is only available to Music Premium members"),
    (
        "region",
        "ERROR: [youtube] abc: Video unavailable. The uploader has not made this video available "
        "in your country",
    ),
    (
        "region",
        "ERROR: [youtube] abc: Video unavailable. This video contains content from SME, who has "
        "blocked it in your country on copyright grounds",
    ),
    ("region", "This video is not available from your location due to geo restriction"),
    (
        "throttled",
        "ERROR: [youtube] abc: Sign in to confirm you\u2019re not a bot. Use "
        "--cookies-from-browser or --cookies for the authentication.",
    ),
    (
        "throttled",
        "ERROR: [youtube] abc: Video unavailable. This content isn't available, try again later. "
        "The current session has been rate-limited by YouTube for up to an hour.",
    ),
    ("throttled", "ERROR: unable to download video data: HTTP Error 403: Forbidden"),
    ("throttled", "ERROR: [youtube] abc: Unable to download API page: HTTP Error 429: Too Many"),
    ("throttled", "abc: Playback. YouTube is requiring a captcha challenge before playback"),
    ("timeout", "ERROR: [download] Got error: The read operation timed out"),
    ("timeout", "Unable to download webpage: HTTPSConnectionPool: Read timed out. (timeout=20)"),
    ("network", "Unable to download webpage: [Errno -3] Temporary failure in name resolution"),
    ("network", "Unable to download webpage: [Errno 104] Connection reset by peer"),
    ("network", "ERROR: unable to download video data: HTTP Error 503: Service Unavailable"),
    ("network", "Got error: 1024 bytes read, 4096 more expected. Giving up after 3 retries"),
    ("failed", "ERROR: [youtube] abc: Requested format is not available. Use --list-formats"),
    ("failed", "ERROR: [youtube] abc: We're processing this video. Check back later."),
    ("failed", "ERROR: ffmpeg exited with code 1"),
    ("failed", "cookies.txt does not exist"),
    ("unsupported", "ERROR: [youtube] abc: This video is DRM protected"),
    ("unsupported", "ERROR: [DRM] The requested site is known to use DRM protection"),
    ("unsupported", "ERROR: Unsupported URL: https://example.org/a"),
    (
        "unsupported",
        "ERROR: [youtube] abc: The following content is not available on this app. Watch on the "
        "latest version of YouTube.",
    ),
]


@pytest.mark.parametrize(("status", "message"), RECORDED)
def test_what_the_site_said_is_understood(status: str, message: str) -> None:
    assert status_of(message) == status


@pytest.mark.parametrize(("status", "message"), RECORDED)
def test_only_what_is_gone_or_closed_is_final(status: str, message: str) -> None:
    is_final = status in {"dead", "private", "region", "unsupported"}
    assert status_of(message).is_transient is not is_final


def test_a_reason_holds_the_words_of_the_site_alone() -> None:
    message = (
        "\x1b[0;31mERROR:\x1b[0m [youtube] a-B_c: Private video. Sign in if you've been granted "
        "access to this video. Use --cookies-from-browser or --cookies for the authentication. "
        "See  https://github.com/yt-dlp for how to"
    )
    expected = "Private video. Sign in if you've been granted access to this video"
    assert shortened(message) == expected
