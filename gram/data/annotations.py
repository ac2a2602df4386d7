"""Annotation files, in the upstream JSON form or CSV -> one table of clips.

A record names one clip. Its keys, or the columns of a CSV file:

- ``clip_id``, ``video_id`` or ``id``: the clip, any text or whole number;
- ``desc``, ``caption`` or ``vast_cap``: its caption, or a list of captions;
- ``subtitle``, ``label``: optional texts;
- ``split``: needed where the settings name no split for the file; where they do, records of
  another split are left out;
- ``source_id``: name of the media file without its suffix, if it is not the clip's id;
- ``start`` and ``end`` (or ``start_seconds``, ``end_seconds``): the part of the media file that is
  the clip, in seconds or as HH:MM:SS.mmm;
- ``clip_span``: the same as [start, end], but only in a record that has a ``source_id``. Without
  one it says where the clip was cut from, and its media file is the clip already (VAST).

In a CSV file several rows of one clip are its several captions. In JSON a repeated clip is an
error.
"""

import csv
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram.data.tables import CLIPS, write_rows

log = logging.getLogger(__name__)

ID_KEYS = ("clip_id", "video_id", "id")
CAPTION_KEYS = ("desc", "caption", "vast_cap")
"""The first key that a record has counts, as upstream does."""

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Clip:
    clip_id: str
    source_id: str
    split: str
    start_seconds: float | None
    end_seconds: float | None
    captions: tuple[str, ...]
    subtitle: str | None
    label: str | None


def make_clips(annotations: Sequence[tuple[str | None, Path]], output: Path) -> None:
    """Read annotation files and write the clips table.

    Args:
        annotations: Split and file, in the order of the table. Where the split is None each
            record carries its own, and a file may be empty as long as not all of them are.
        output: Parquet file with the columns of ``gram.data.tables.CLIPS``.

    Raises:
        ValueError: If a file is missing, empty or not of the form; if a record lacks its id, its
            caption or its split, or has one that cannot be used; if a clip id occurs twice.
    """
    clips: list[_Clip] = []
    origins: dict[str, list[Path]] = {}
    for split, path in annotations:
        found = _read_file(path, split)
        clips += found
        for clip in found:
            origins.setdefault(clip.clip_id, []).append(path)
    _check_unique(origins)
    if not clips:
        files = ", ".join(str(path) for _, path in annotations) or "no file was given"
        raise ValueError(f"the annotations name no clip ({files}); add at least one record")
    rows = [{"key": f"{number:08d}", **vars(clip)} for number, clip in enumerate(clips)]
    write_rows(output, rows, schema=CLIPS)
    _log_counts(clips)


def _log_counts(clips: Sequence[_Clip]) -> None:
    splits = Counter(clip.split for clip in clips)
    log.info(
        "%d clips (%s), %d captions, %d with a subtitle, %d parts of longer files",
        len(clips),
        ", ".join(f"{split} {count}" for split, count in splits.items()),
        sum(len(clip.captions) for clip in clips),
        sum(bool(clip.subtitle and clip.subtitle.strip()) for clip in clips),
        sum(clip.start_seconds is not None or clip.end_seconds is not None for clip in clips),
    )


def _check_unique(origins: Mapping[str, Sequence[Path]]) -> None:
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


# --- files -----------------------------------------------------------------------------------


def _read_file(path: Path, split: str | None) -> list[_Clip]:
    """Read the clips of one file; ``split`` names which of its records count."""
    path = Path(path)
    if not path.is_file():
        setting = f"datasets.<name>.annotations.{split or '<split>'}"
        raise ValueError(
            f"the annotation file {path} is not there (looked for {path.absolute()}); put it "
            f"there, or correct {setting}"
        )
    match path.suffix.lower():
        case ".json":
            clips = [_read_record(record, where, split) for where, record in _json_records(path)]
        case ".csv":
            rows = [_read_record(record, where, split) for where, record in _csv_records(path)]
            clips = _join_captions(rows, path)
        case suffix:
            raise ValueError(
                f"the annotation file {path} ends in {suffix or 'nothing'!r}, not in .json or .csv"
            )
    return clips if split is None else _of_split(clips, split, path)


def _of_split(clips: list[_Clip], split: str, path: Path) -> list[_Clip]:
    wanted = [clip for clip in clips if clip.split == split]
    if not wanted:
        counts = Counter(clip.split for clip in clips)
        found = ", ".join(f"{name!r}: {count}" for name, count in counts.items()) or "no record"
        raise ValueError(
            f"{path} names no clip of the split {split!r} (found {found}); add records, or correct "
            f"datasets.<name>.annotations.{split}"
        )
    if len(wanted) < len(clips):
        log.info("%s: %d records of other splits left out", path, len(clips) - len(wanted))
    return wanted


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 (byte {error.start} is "
            f"{error.object[error.start]:#04x}); save it in UTF-8"
        ) from error


def _json_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Give each record of a JSON file with where it stands, for messages."""
    text = _read_text(path)
    form = 'a list of records like [{"video_id": "a", "desc": ["a dog barks"]}]'
    if not text.strip():
        raise ValueError(f"{path} is empty; expected {form}")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}; "
            f"expected {form}"
        ) from error
    if not isinstance(content, list):
        keys = f" with the keys {_keys_of(content)}" if isinstance(content, dict) else ""
        raise ValueError(
            f"{path} holds one JSON {_json_type(content)}{keys} at line 1; expected {form}"
        )
    for number, record in enumerate(content, start=1):
        where = f"record {number} of {path}"
        if not isinstance(record, dict):
            raise ValueError(f"{where} is a JSON {_json_type(record)}; expected {form}")
        yield where, record


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list():
            return "list"
    return "object"


def _csv_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Give each row of a CSV file, without its blank cells, with where it stands."""
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), restkey="", strict=True)
    form = "first line: column names, among them video_id and caption"
    try:
        columns = reader.fieldnames or []
        if not columns:
            raise ValueError(f"{path} is empty; expected a CSV file, {form}")
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise ValueError(
                f"{path} has the column {twice[0]!r} more than once; several captions of a clip "
                "stand in rows of their own, each with the clip's id"
            )
        for keys in (ID_KEYS, CAPTION_KEYS):
            if not set(keys) & set(columns):
                raise ValueError(
                    f"{path} has no column {' or '.join(keys)}; found {', '.join(columns)}; {form}"
                )
        for number, row in enumerate(reader, start=1):
            where = f"row {number} (line {reader.line_num}) of {path}"
            if "" in row:
                raise ValueError(
                    f"{where} has more cells than the {len(columns)} columns; put quotation marks "
                    "around texts that contain a comma"
                )
            yield (
                where,
                {key: cell for key, cell in row.items() if cell is not None and cell.strip()},
            )
    except csv.Error as error:
        raise ValueError(
            f"{path} is not CSV: line {reader.reader.line_num}: {error}; {form}"
        ) from error


def _join_captions(rows: Sequence[_Clip], path: Path) -> list[_Clip]:
    """Make one clip of all rows that name it, with the captions of all."""
    clips: dict[str, _Clip] = {}
    for row in rows:
        known = clips.setdefault(row.clip_id, row)
        if known is row:
            continue
        first, second = vars(known) | {"captions": None}, vars(row) | {"captions": None}
        differing = [name for name in first if first[name] != second[name]]
        if differing:
            raise ValueError(
                f"two rows of clip {row.clip_id!r} in {path} differ in {', '.join(differing)}; "
                "rows of one clip are its captions and must agree in all else: make the ids unique"
            )
        clips[row.clip_id] = _Clip(**{**vars(known), "captions": known.captions + row.captions})
    return list(clips.values())


# --- records ---------------------------------------------------------------------------------


def _read_record(record: Record, where: str, split: str | None) -> _Clip:
    clip_id = _read_name(record, where, keys=ID_KEYS)
    if clip_id is None:
        raise ValueError(
            f"{where} names no clip: it has no {' or '.join(ID_KEYS)} that is a text; its keys are "
            f"{_keys_of(record)}; add one"
        )
    own_split = _read_name(record, where, keys=("split",))
    if (own_split or split) is None:
        raise ValueError(
            f"{where} has no split; its keys are {_keys_of(record)}; add the key 'split', or name "
            "the file's split in datasets.<name>.annotations"
        )
    start, end = _read_span(record, where)
    return _Clip(
        clip_id=clip_id,
        source_id=_read_name(record, where, keys=("source_id",)) or clip_id,
        split=own_split or split or "",
        start_seconds=start,
        end_seconds=end,
        captions=_read_captions(record, where),
        subtitle=_read_text_value(record, where, key="subtitle"),
        label=_read_name(record, where, keys=("label",)),
    )


def _keys_of(record: Record) -> str:
    return ", ".join(str(key) for key in record) or "none"


def _read_name(record: Record, where: str, *, keys: Sequence[str]) -> str | None:
    """Read the first of the keys that is there: a text that is not blank, or a whole number."""
    for key in keys:
        match record.get(key):
            case bool():
                raise ValueError(f"{where}: {key} is true or false; give a text")
            case int(number):
                return str(number)
            case str(text) if text.strip():
                return _encodable(text, where, key=key)
    return None


def _read_captions(record: Record, where: str) -> tuple[str, ...]:
    for key in CAPTION_KEYS:
        if record.get(key) is None:
            continue
        captions = record[key] if isinstance(record[key], list) else [record[key]]
        for caption in captions:
            if not isinstance(caption, str):
                raise ValueError(
                    f"{where}: {key} holds a {_json_type(caption)}; give a text or a list of texts"
                )
        if kept := tuple(_encodable(text, where, key=key) for text in captions if text.strip()):
            return kept
    raise ValueError(
        f"{where} has no caption: no {' or '.join(CAPTION_KEYS)} that is not blank; its keys are "
        f"{_keys_of(record)}; add one"
    )


def _read_text_value(record: Record, where: str, *, key: str) -> str | None:
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{where}: {key} is a {_json_type(value)}; give a text")
    return _encodable(value, where, key=key)


def _encodable(text: str, where: str, *, key: str) -> str:
    """Pass a text on if it can be written; JSON may hold halves of characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: {key} holds half a character ({text[error.start]!a}) and cannot be written; "
            "correct the text"
        ) from error
    return text


def _read_span(record: Record, where: str) -> tuple[float | None, float | None]:
    """Read which part of its media file the clip is."""
    start = _read_seconds(record.get("start", record.get("start_seconds")), where)
    end = _read_seconds(record.get("end", record.get("end_seconds")), where)
    span = record.get("clip_span")
    if span is not None and "source_id" in record:
        if not isinstance(span, list) or len(span) != 2:
            raise ValueError(f"{where}: clip_span is {span!r}; give [start, end] in seconds")
        start, end = _read_seconds(span[0], where), _read_seconds(span[1], where)
    if end is not None and end <= (start or 0.0):
        raise ValueError(
            f"{where}: the clip ends at {end:g} s and starts at {start or 0.0:g} s; the end must "
            "come after the start"
        )
    return start, end


def _read_seconds(value: object, where: str) -> float | None:
    """Read a time: a number of seconds, or HH:MM:SS.mmm."""
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        seconds = 0.0
        for part in str(value).split(":"):
            seconds = 60 * seconds + float(part)
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{where}: {value!r} is not a time; give seconds from 0 on, or HH:MM:SS.mmm"
        ) from None
    return seconds
