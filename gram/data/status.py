"""What a media file is, what became of a clip, and the stages that decide it: closed lists."""

from enum import StrEnum


class Medium(StrEnum):
    """Kind of a media file that can be used."""

    FILM = "film"
    """Moving pictures, with or without sound."""
    PICTURE = "picture"
    """One still picture: a clip of one frame, without sound."""
    SOUND = "sound"
    """Sound alone, with or without a cover picture: a clip without frames."""


class Status(StrEnum):
    """State of a clip. Every state but OK comes with a stage and a reason."""

    OK = "ok"
    NOT_FOUND = "not_found"
    """No media file has the clip's source id as its name."""
    DUPLICATE = "duplicate"
    """Several media files have the clip's source id as their name."""
    UNREADABLE = "unreadable"
    """The file is not a video container, or is damaged."""
    NO_VIDEO = "no_video"
    """The file holds neither film nor sound, or a still picture under the name of a film."""
    NO_AUDIO = "no_audio"
    """The file is sound alone, and holds not one sample."""
    TRUNCATED = "truncated"
    """The file ends before the length that it announces."""
    TOO_SHORT = "too_short"
    """The file, or the part that the clip names, has too few frames."""
    TIMEOUT = "timeout"
    """Reading or fetching took longer than the limit."""
    DEAD = "dead"
    """The site has it no more: removed, or never there."""
    PRIVATE = "private"
    """The site shows it to some only: private, for members, or from an age on."""
    REGION = "region"
    """The site does not show it in this country."""
    UNSUPPORTED = "unsupported"
    """The site gives no video that can be fetched: it is protected, or the page shows none."""
    THROTTLED = "throttled"
    """The site refuses this machine for now: too many requests, or it suspects a robot."""
    NETWORK = "network"
    """The connection failed, or the server did."""
    FAILED = "failed"
    """Fetching failed in a way that decides nothing; the reason holds the words of the site."""

    @property
    def is_transient(self) -> bool:
        """Whether another try at another time may end otherwise."""
        return self in {Status.TIMEOUT, Status.THROTTLED, Status.NETWORK, Status.FAILED}


class DecidingStage(StrEnum):
    """Stage that set a clip aside."""

    FETCH = "fetch"
    PROBE = "probe"
    EXTRACT = "extract"
