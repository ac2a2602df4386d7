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
    """Reading took longer than the limit."""


class DecidingStage(StrEnum):
    """Stage that set a clip aside."""

    PROBE = "probe"
    EXTRACT = "extract"
