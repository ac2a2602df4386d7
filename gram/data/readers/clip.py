"""One clip as annotations tell of it: what every reader gives, and a row of the clips table."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip. Its fields are columns of ``gram.data.tables.CLIPS``.

    Attributes:
        clip_id: Its name, unique in its data set.
        source_id: Name of its media file, without the suffix.
        split: Its split. A reader of a published data set gives the split that the file names, or
            None where the file names none.
        start_seconds: Where it begins in its media file; None: at the file's start.
        end_seconds: Where it ends; None: at the file's end.
        captions: Its texts, in the order of the file.
        subtitle: What is said in it; None: not known.
        label: Its class, for classification; None: it has none.
    """

    clip_id: str
    source_id: str
    split: str | None
    captions: tuple[str, ...]
    start_seconds: float | None = None
    end_seconds: float | None = None
    subtitle: str | None = None
    label: str | None = None


Rows = list[tuple[Clip, Path]]
"""Clips as files name them, each with its file."""
