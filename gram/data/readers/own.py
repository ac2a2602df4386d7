"""Own clips: JSON in the form of upstream's records, or CSV with the same names as columns.

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

In a CSV file several rows of one clip are its several captions. In JSON a clip that is there twice
is an error. A record that is the same as another one in all is left out, and counted.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from gram.data.readers.clip import Clip
from gram.data.readers.files import Record, check_there, parse_json, read_text
from gram.data.readers.joining import join_captions
from gram.data.readers.values import (
    CAPTION_KEYS,
    ID_KEYS,
    json_type,
    keys_of,
    read_name,
    read_seconds,
    read_text_value,
    read_texts,
)


def read_own(path: Path, split: str | None) -> tuple[list[Clip], int]:
    """Read the clips of one file, of whatever split.

    Args:
        path: The file, .json or .csv.
        split: Split of the records that name none; None: each names its own.

    Returns:
        The clips, and how many records were left out since another one is the same.

    Raises:
        ValueError: If the file is absent or not of the form, or a record cannot be used.
    """
    check_there(path, setting=f"datasets.<name>.annotations.{split or '<split>'}")
    match path.suffix.lower():
        case ".json":
            records = _json_records(path)
        case ".csv":
            records = _csv_records(path)
        case suffix:
            raise ValueError(
                f"the annotation file {path} ends in {suffix or 'nothing'!r}, not in .json or .csv"
            )
    rows = [_read_record(record, where, split) for where, record in records]
    unique = list(dict.fromkeys(rows))
    is_table = path.suffix.lower() == ".csv"
    clips = join_captions([(row, path) for row in unique]) if is_table else unique
    return clips, len(rows) - len(unique)


def _json_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Give each record of a JSON file with where it stands, for messages."""
    text = read_text(path)
    form = 'a list of records like [{"video_id": "a", "desc": ["a dog barks"]}]'
    if not text.strip():
        raise ValueError(f"{path} is empty; expected {form}")
    content, _ = parse_json(text, path, advice=f"expected {form}")
    if not isinstance(content, list):
        keys = f" with the keys {keys_of(content)}" if isinstance(content, dict) else ""
        raise ValueError(
            f"{path} holds one JSON {json_type(content)}{keys} at line 1; expected {form}"
        )
    for number, record in enumerate(content, start=1):
        where = f"record {number} of {path}"
        if not isinstance(record, dict):
            raise ValueError(f"{where} is a JSON {json_type(record)}; expected {form}")
        yield where, record


def _csv_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Give each row of a CSV file, without its blank cells, with where it stands."""
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restkey="", strict=True)
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


def _read_record(record: Record, where: str, split: str | None) -> Clip:
    clip_id = read_name(record, where, keys=ID_KEYS)
    if clip_id is None:
        raise ValueError(
            f"{where} names no clip: it has no {' or '.join(ID_KEYS)} that is a text; its keys are "
            f"{keys_of(record)}; add one"
        )
    own_split = read_name(record, where, keys=("split",))
    if (own_split or split) is None:
        raise ValueError(
            f"{where} has no split; its keys are {keys_of(record)}; add the key 'split', or name "
            "the file's split in datasets.<name>.annotations"
        )
    start, end = _read_span(record, where)
    return Clip(
        clip_id=clip_id,
        source_id=read_name(record, where, keys=("source_id",)) or clip_id,
        split=own_split or split,
        start_seconds=start,
        end_seconds=end,
        captions=_read_captions(record, where),
        subtitle=read_text_value(record, where, key="subtitle"),
        label=read_name(record, where, keys=("label",)),
    )


def _read_captions(record: Record, where: str) -> tuple[str, ...]:
    """Read the captions under the first key that holds one that is not blank."""
    for key in CAPTION_KEYS:
        if record.get(key) is not None:
            captions = read_texts(record[key], where, key=key)
            if kept := tuple(text for text in captions if text.strip()):
                return kept
    raise ValueError(
        f"{where} has no caption: no {' or '.join(CAPTION_KEYS)} that is not blank; its keys are "
        f"{keys_of(record)}; add one"
    )


def _read_span(record: Record, where: str) -> tuple[float | None, float | None]:
    """Read which part of its media file the clip is."""
    start = read_seconds(record.get("start", record.get("start_seconds")), where)
    end = read_seconds(record.get("end", record.get("end_seconds")), where)
    span = record.get("clip_span")
    if span is not None and "source_id" in record:
        if not isinstance(span, list) or len(span) != 2:
            raise ValueError(f"{where}: clip_span is {span!r}; give [start, end] in seconds")
        start, end = read_seconds(span[0], where), read_seconds(span[1], where)
    if end is not None and end <= (start or 0.0):
        raise ValueError(
            f"{where}: the clip ends at {end:g} s and starts at {start or 0.0:g} s; the end must "
            "come after the start"
        )
    return start, end
