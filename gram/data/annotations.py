"""Annotation files of a data set, own or published -> one table of clips, with an account."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from gram.data.media_files import chunk_of
from gram.data.readers import FORMATS
from gram.data.readers.clip import Clip
from gram.data.readers.files import check_there, read_file
from gram.data.readers.joining import REPEATED, name_apart
from gram.data.readers.own import read_own
from gram.data.readers.reading import Reading, formats_of, read_published
from gram.data.tables import CLIPS, Row, update_rows, write_rows
from gram.files import write_text

log = logging.getLogger(__name__)

OWN = "own"
"""Format of own clips; the others are those of ``gram.data.readers.FORMATS``."""


@dataclass(frozen=True, kw_only=True)
class SplitAccount:
    """What was read of one split.

    Attributes:
        split: Its name.
        clips: Number of its clips.
        captions: Number of their captions.
        subtitles: Number of clips with a subtitle that is not blank.
        parts: Number of clips that are parts of longer files.
        forms: What each file was read as; empty for own clips.
        left_out: Number of records, clips, captions or ids that do not count, by the cause.
        noted: Number of those that count, but should be known of, by what they are.
    """

    split: str
    clips: int
    captions: int
    subtitles: int
    parts: int
    forms: tuple[str, ...]
    left_out: Mapping[str, int]
    noted: Mapping[str, int]


def confirm_annotations(files: Sequence[Path], *, receipt: Path) -> None:
    """Write that annotation files are there, for a job that is planned when one was not.

    Such a job may fail before make_clips, which reads them, is begun: that would take its table of
    clips away, and with it what was made of it.

    Args:
        files: The annotation files.
        receipt: Text file that says how many there are.

    Raises:
        ValueError: If one is not there.
    """
    for path in files:
        check_there(path)
    write_text(receipt, f"{len(files)} annotation files\n")


def make_clips(
    annotations: Sequence[tuple[str | None, Path]],
    output: Path,
    *,
    format_name: str = OWN,
    chunks: int = 0,
) -> list[SplitAccount]:
    """Read annotation files and write the clips table.

    With ``chunks`` its parts are written, too, as ``<output without suffix>/<chunk>.parquet``. A
    part that stays the same keeps its file and its time, so that work on its clips need not be
    done again. The table itself is written last.

    Args:
        annotations: Split and file, in the order of the table; the files of a published split may
            be several. Where the split of own clips is None each record carries its own, and a
            file may be empty as long as not all of them are. Where that of a published data set
            is, the names of the files tell it, or it is ``test``.
        output: Parquet file with the columns of ``gram.data.tables.CLIPS``.
        format_name: Of which data set they are; ``OWN``: of none that is published.
        chunks: Number of parts, chosen by the clips' media files; 0: no part is written.

    Returns:
        The account of each split.

    Raises:
        ValueError: If a file is missing, empty or not of the form; if a record lacks its id, its
            caption or its split, or has one that cannot be used; if a clip id occurs twice.
    """
    readings = _read_own(annotations) if format_name == OWN else _read(annotations, format_name)
    clips = [clip for reading in readings for clip, _ in reading.clips]
    if not clips:
        files = ", ".join(str(path) for _, path in annotations) or "no file was given"
        raise ValueError(f"the annotations name no clip ({files}); add at least one record")
    rows = [{"key": f"{number:08d}", **vars(clip)} for number, clip in enumerate(clips)]
    if chunks:
        _write_parts(rows, output.with_suffix(""), chunks=chunks)
    write_rows(output, rows, schema=CLIPS)
    accounts = _accounts(readings)
    for account in accounts:
        log.info("%s", describe(account))
    return accounts


def _write_parts(rows: Sequence[Row], folder: Path, *, chunks: int) -> None:
    """Write the part of each chunk where it changed, and remove those of other divisions."""
    parts: list[list[Row]] = [[] for _ in range(chunks)]
    for row in rows:
        parts[chunk_of(row["source_id"], chunks)].append(row)
    paths = [folder / f"{number:04d}.parquet" for number in range(chunks)]
    for path in set(folder.glob("*.parquet")) - set(paths):
        path.unlink()
    changed = [
        update_rows(path, part, schema=CLIPS) for path, part in zip(paths, parts, strict=True)
    ]
    log.info("%d of %d chunks changed", sum(changed), chunks)


def describe(account: SplitAccount) -> str:
    """Say in one line what was read of a split."""
    told = (
        f"{account.split}: {account.clips} clips, {account.captions} captions, "
        f"{account.subtitles} with a subtitle, {account.parts} parts of longer files"
    )
    if account.left_out:
        causes = ", ".join(f"{count} {cause}" for cause, count in account.left_out.items())
        told += f"; left out: {causes}"
    if account.noted:
        told += f"; note: {', '.join(f'{count} {what}' for what, count in account.noted.items())}"
    return f"{told}; read {', '.join(account.forms)}" if account.forms else told


def _accounts(readings: Sequence[Reading]) -> list[SplitAccount]:
    """Count the clips of each split; several files of own clips may share one."""
    splits = dict.fromkeys(clip.split for reading in readings for clip, _ in reading.clips)
    return [_account(str(split), readings) for split in splits]


def _account(split: str, readings: Sequence[Reading]) -> SplitAccount:
    of_split = [one for one in readings if any(clip.split == split for clip, _ in one.clips)]
    clips = [clip for one in of_split for clip, _ in one.clips if clip.split == split]
    left_out = sum((Counter(one.left_out) for one in of_split), Counter())
    noted = sum((Counter(one.noted) for one in of_split), Counter())
    return SplitAccount(
        split=split,
        clips=len(clips),
        captions=sum(len(clip.captions) for clip in clips),
        subtitles=sum(bool(clip.subtitle and clip.subtitle.strip()) for clip in clips),
        parts=sum(_is_part(clip) for clip in clips),
        forms=tuple(form for one in of_split for form in one.forms),
        left_out=dict(left_out),
        noted=dict(noted),
    )


def _is_part(clip: Clip) -> bool:
    return clip.start_seconds is not None or clip.end_seconds is not None


def _check_unique(clips: Sequence[tuple[Clip, Path]]) -> None:
    origins: dict[str, list[Path]] = {}
    for clip, path in clips:
        origins.setdefault(clip.clip_id, []).append(path)
    repeated = {clip_id: paths for clip_id, paths in origins.items() if len(paths) > 1}
    if not repeated:
        return
    shown = [
        f"{clip_id!r} (in {', '.join(sorted({str(path) for path in paths}))})"
        for clip_id, paths in list(repeated.items())[:5]
    ]
    more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
    raise ValueError(
        f"{len(repeated)} clip ids occur more than once: {'; '.join(shown)}{more}; each clip needs "
        "an id of its own and belongs to one split: remove the repeated records or rename them"
    )


def _read(annotations: Sequence[tuple[str | None, Path]], format_name: str) -> list[Reading]:
    files: dict[str | None, list[Path]] = {}
    for split, path in annotations:
        files.setdefault(split, []).append(Path(path))
    readings = [read_published(format_name, paths, split) for split, paths in files.items()]
    if FORMATS[format_name].shares_names:
        readings = _named_apart(readings)
    _check_unique([one for reading in readings for one in reading.clips])
    return readings


def _named_apart(readings: Sequence[Reading]) -> list[Reading]:
    """Name clips apart that files name alike, be they of one split or of several."""
    rows, noted = name_apart([one for reading in readings for one in reading.clips])
    named = iter(rows)
    clips = [tuple(islice(named, len(reading.clips))) for reading in readings]
    return [
        replace(
            reading, clips=own, noted={**reading.noted, **(noted if own != reading.clips else {})}
        )
        for reading, own in zip(readings, clips, strict=True)
    ]


def _read_own(annotations: Sequence[tuple[str | None, Path]]) -> list[Reading]:
    try:
        readings = [_read_own_file(Path(path), split) for split, path in annotations]
        _check_unique([one for reading in readings for one in reading.clips])
    except ValueError as error:
        if hint := _hint_of_format([Path(path) for _, path in annotations]):
            raise ValueError(f"{error}. {hint}") from error
        raise
    return readings


def _hint_of_format(paths: Sequence[Path]) -> str:
    """Say which data set a file seems to be of; nothing if it is of none."""
    for path in paths:
        try:
            names = formats_of(read_file(path))
        except ValueError:
            continue  # it cannot be read at all, which is told already
        if names:
            title = FORMATS[names[0]].title
            setting = "datasets.<name>.format, or --benchmark,"
            return f"{path} looks like {title}: set {setting} to {names[0]}"
    return ""


def _read_own_file(path: Path, split: str | None) -> Reading:
    """Read the clips of one file; the split says which of its records count."""
    clips, repeated = read_own(path, split)
    wanted = clips if split is None else [clip for clip in clips if clip.split == split]
    if split is not None and not wanted:
        counts = Counter(str(clip.split) for clip in clips)
        found = ", ".join(f"{name!r}: {count}" for name, count in counts.items()) or "no record"
        raise ValueError(
            f"{path} names no clip of the split {split!r} (found {found}); add records, or correct "
            f"datasets.<name>.annotations.{split}"
        )
    left_out = Counter({"records of other splits": len(clips) - len(wanted), REPEATED: repeated})
    return Reading(clips=tuple((clip, path) for clip in wanted), forms=(), left_out=dict(+left_out))
