"""What became of a clip: the closed list of states, and the stages that decide them."""

from enum import StrEnum


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
    """The file holds sound or a still picture only."""
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
