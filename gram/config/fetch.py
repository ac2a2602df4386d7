"""Settings of fetching. Without them nothing is fetched: files are put in place by hand."""

from pydantic import Field

from gram.config.base import Name, Section


class FetchConfig(Section):
    """What of a data set is fetched from others, and how politely."""

    sources: tuple[Name, ...] = Field(
        (),
        description=(
            "Files to fetch, by their names in config/sources.yaml: annotation files that the "
            "data set names and that are not there, and archives of its media files."
        ),
    )
    clips: Name | None = Field(
        None,
        description=(
            "The source of the kind site in config/sources.yaml from which each clip is fetched "
            "by itself; none: the media files are there, or come in an archive."
        ),
    )
    at_once: int = Field(1, ge=1, le=16, description="Clips that a job fetches at the same time.")
    pause_seconds: float = Field(
        5.0, ge=0, description="Least time between the starts of two clips of a job, in seconds."
    )
    pause_between_requests_seconds: float = Field(
        0.75, ge=0, description="Time between the requests that one clip takes, in seconds."
    )
    bytes_per_second: int | None = Field(
        None, ge=1, description="Limit of the rate of one file, in bytes a second; none: no limit."
    )
    max_height: int = Field(
        480, ge=72, description="Height of the picture that is preferred at most, in pixels."
    )
    timeout_seconds: float = Field(
        900.0, gt=0, description="Wall-clock limit of one clip, in seconds."
    )
    tries: int = Field(
        3, ge=0, le=20, description="Tries of yt-dlp at a request that fails, before it gives up."
    )
    refusals: int = Field(
        5,
        ge=1,
        description="Refusals in a row (throttled) after which a job asks for no further clip.",
    )
    cookies: str | None = Field(
        None, description="File of cookies in Netscape form, for what the site shows to some only."
    )
