"""Several rows of one clip: its several captions."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from gram.data.readers.clip import Clip


def join_captions(rows: Sequence[tuple[Clip, Path]]) -> list[Clip]:
    """Make one clip of all rows that name it, with the captions of all.

    Args:
        rows: Clips, of which some may be the same, each with the file that names it.

    Returns:
        Each clip once, where it stands first, with its captions in the order of the rows.

    Raises:
        ValueError: If rows of one clip differ in anything but the captions.
    """
    clips: dict[str, Clip] = {}
    captions: dict[str, list[str]] = {}
    for row, path in rows:
        known = clips.setdefault(row.clip_id, row)
        captions.setdefault(row.clip_id, []).extend(row.captions)
        if differing := _differing(known, row):
            raise ValueError(
                f"two rows of clip {row.clip_id!r} in {path} differ in {', '.join(differing)}; "
                "rows of one clip are its captions and must agree in all else: make the ids unique"
            )
    return [replace(clip, captions=tuple(captions[name])) for name, clip in clips.items()]


def _differing(one: Clip, other: Clip) -> list[str]:
    names = [field.name for field in fields(Clip) if field.name != "captions"]
    return [name for name in names if getattr(one, name) != getattr(other, name)]
