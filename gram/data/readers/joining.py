"""Clips that the files of a split name several times: captions, repeats, and namesakes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from gram.data.readers.clip import Clip, Rows
from gram.data.readers.forms import Format

REPEATED = "repeated records"
"""Cause in the account: records that are the same as another one."""


def join_rows(
    rows: Rows,
    known: Format,
    *,
    is_official: bool,
    left_out: Counter[str],
    noted: Counter[str],
) -> Rows:
    """Make one clip of the rows that are its captions, and leave out what is repeated.

    A clip that has several whole lists of captions stays repeated, which is an error later on.

    Args:
        rows: Clips of one split as its files name them.
        known: Their data set.
        is_official: Whether the files are the owners', which are read without repeats already.
        left_out: Takes the number of repeated records.
        noted: Takes what counts, but should be known of.

    Raises:
        ValueError: If a clip has another content in another file, where a name is one clip; if
            rows of one clip differ in anything but the captions.
    """
    kept = _of_one_file_each(rows, known, left_out=left_out)
    if known.rows_are_captions and not is_official:
        kept = _without_repeats(kept, known, left_out=left_out, noted=noted)
    if known.rows_are_captions:
        kept = _joined(kept)
    if known.shares_names and known.captions_a_clip is not None:
        what = f"clips with more than {known.captions_a_clip} captions: of several by one name"
        noted[what] += sum(len(one.captions) > known.captions_a_clip for one, _ in kept)
    unique = list(dict.fromkeys(kept))
    left_out[REPEATED] += len(kept) - len(unique)
    return unique


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


# --- clips in several files ------------------------------------------------------------------


def _of_one_file_each(rows: Rows, known: Format, *, left_out: Counter[str]) -> Rows:
    """Leave out what another file has, too; the same name with other content is an error.

    Not so where files name different clips alike: there both stay, for ``name_apart``.
    """
    by_file: dict[str, dict[Path, list[Clip]]] = {}
    for clip, path in rows:
        by_file.setdefault(clip.clip_id, {}).setdefault(path, []).append(clip)
    repeated: set[tuple[str, Path]] = set()
    for clip_id, contents in by_file.items():
        (first, whole), *others = contents.items()
        for path, clips in others:
            if clips == whole:
                repeated.add((clip_id, path))
            elif not known.shares_names:
                raise ValueError(
                    f"{clip_id!r} stands in {first} and in {path} with different captions or "
                    "times; give one of the files, or make the ids unique"
                )
    kept = [(clip, path) for clip, path in rows if (clip.clip_id, path) not in repeated]
    left_out[REPEATED] += len(rows) - len(kept)
    return kept


def name_apart(rows: Rows) -> tuple[Rows, dict[str, int]]:
    """Name clips apart that files of one data set name alike: ``a.wav`` -> ``a (validation).wav``.

    Each is called by the last word of its file's name, whatever the order of the files; so is its
    media file, of which nobody could tell otherwise to which of the clips it belongs.

    Returns:
        The rows, and how many of them have new names, with the first one as an example.
    """
    files: dict[str, set[Path]] = {}
    for clip, path in rows:
        files.setdefault(clip.clip_id, set()).add(path)
    renamed: Rows = []
    changed = []
    for clip, path in rows:
        named = clip
        if len(files[clip.clip_id]) > 1:
            word = f" ({path.stem.rpartition('_')[2]})"
            suffix = clip.clip_id.removeprefix(clip.source_id)
            source_id = f"{clip.source_id}{word}"
            named = replace(clip, clip_id=f"{source_id}{suffix}", source_id=source_id)
            changed.append(named.clip_id)
        renamed.append((named, path))
    what = "clips whose name another file has, too: by id and media file they are called as"
    return renamed, {f"{what} {changed[0]!r}": len(changed)} if changed else {}


# --- rows that are captions ------------------------------------------------------------------


def _joined(rows: Rows) -> Rows:
    """Join rows of one caption each; whole lists of captions stay as they are."""
    whole = {clip.clip_id for clip, _ in rows if len(clip.captions) != 1}
    single = [(clip, path) for clip, path in rows if clip.clip_id not in whole]
    files = {clip.clip_id: path for clip, path in reversed(single)}
    joined = {clip.clip_id: clip for clip in join_captions(single)}
    kept: Rows = []
    for clip, path in rows:
        if clip.clip_id in whole:
            kept.append((clip, path))
        elif (one := joined.pop(clip.clip_id, None)) is not None:
            kept.append((one, files[clip.clip_id]))
    return kept


def _without_repeats(
    rows: Rows, known: Format, *, left_out: Counter[str], noted: Counter[str]
) -> Rows:
    """Leave out equal rows of clips that have more rows than a clip of their data set has captions.

    Several people may give one clip the same caption, and the published code's files have no
    number that tells such rows from one that was written twice. But they have as many rows for
    each clip: of MSR-VTT 20. So what is more than that, and equal to a row before, is a repeat.
    """
    of_clip: dict[str, list[int]] = {}
    for number, (clip, _) in enumerate(rows):
        if len(clip.captions) == 1:
            of_clip.setdefault(clip.clip_id, []).append(number)
    different = {name: {rows[one][0] for one in numbers} for name, numbers in of_clip.items()}
    most = _most_captions(
        known,
        rows=max(map(len, of_clip.values()), default=0),
        different=max(map(len, different.values()), default=0),
    )
    dropped: set[int] = set()
    for name, numbers in of_clip.items():
        equal = _equal_to_one_before([rows[one][0] for one in numbers])
        excess = max(len(numbers) - max(most, len(different[name])), 0)
        dropped |= {numbers[one] for one in equal[len(equal) - excess :]}
        noted["captions that equal another one of their clip"] += len(equal) - excess
    left_out[REPEATED] += len(dropped)
    return [row for number, row in enumerate(rows) if number not in dropped]


def _most_captions(known: Format, *, rows: int, different: int) -> int:
    """Give how many captions a clip has at most, from the most rows and different ones of a clip.

    A file may have fewer a clip than its data set, such as one.
    """
    usual = known.captions_a_clip
    if usual is None or rows < usual:
        return different
    return usual if known.shares_names else max(usual, different)


def _equal_to_one_before(clips: Sequence[Clip]) -> list[int]:
    """Give the places of rows that are the same as one before."""
    seen: set[Clip] = set()
    places = []
    for place, clip in enumerate(clips):
        if clip in seen:
            places.append(place)
        seen.add(clip)
    return places
