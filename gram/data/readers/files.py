"""Annotation files as they stand on disk: JSON, or tables and lists of text."""

import csv
import io
import json
import re
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

Record = Mapping[str, Any]
"""One JSON object, or one row of a table by its column names."""

Value = TypeVar("Value")

JSON_SUFFIXES = (".json", ".jsonl")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")

CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f]")
"""Control characters that no text needs. Breaks of lines and tabs are none of them, nor are those
from U+0080 on, which stand for quotation marks in captions that were saved in other encodings."""


@dataclass(frozen=True, kw_only=True)
class JsonFile:
    """A JSON file; one of JSON lines is a list of its lines.

    Attributes:
        path: Where it is.
        content: What it holds.
        repeated: Records that were left out of the content, since it has their like.
    """

    path: Path
    content: object
    repeated: int = 0


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """A file of rows.

    Attributes:
        path: Where it is.
        rows: Number of the line at which each row ends, and its cells.
        repeated: Rows that were left out, since another one is the same.
    """

    path: Path
    rows: Sequence[tuple[int, Sequence[str]]]
    repeated: int = 0

    @property
    def header(self) -> tuple[str, ...]:
        """The cells of the first row, which may or may not be names of columns."""
        return tuple(self.rows[0][1]) if self.rows else ()

    def records(self) -> Iterator[tuple[str, Record]]:
        """Give the rows below the first by the names in it, each with where it stands.

        Raises:
            ValueError: If a row has another number of cells.
        """
        columns = self.header
        for line, cells in self.rows[1:]:
            yield (
                f"line {line} of {self.path}",
                dict(zip(columns, self.cells(line, cells), strict=True)),
            )

    def cells(self, line: int, cells: Sequence[str]) -> Sequence[str]:
        """Pass the cells of a row on if they are as many as those of the first.

        Raises:
            ValueError: If they are not.
        """
        if len(cells) != len(self.header):
            raise ValueError(
                f"line {line} of {self.path} has {len(cells)} cells, the first line has "
                f"{len(self.header)}; fetch the file again, or put quotation marks around texts "
                "that contain a comma"
            )
        return cells


AnnotationFile = JsonFile | TableFile


def read_file(path: Path) -> AnnotationFile:
    """Read an annotation file of any form.

    Args:
        path: JSON where the name ends in .json or .jsonl; a table where it ends in .csv or .tsv,
            with tabs between cells if its first line has one; one text a line where it ends in
            .txt. Lines without text are left out.

    Raises:
        ValueError: If the file is absent, empty, not in UTF-8 or not of the form of its suffix.
    """
    check_there(path)
    text = read_text(path)
    suffix = path.suffix.lower()
    if suffix not in (*JSON_SUFFIXES, *TABLE_SUFFIXES):
        raise ValueError(
            f"the annotation file {path} ends in {suffix or 'nothing'!r}, not in "
            f"{', '.join((*JSON_SUFFIXES, *TABLE_SUFFIXES))}; unpack it, or rename it"
        )
    if not text.strip():
        raise ValueError(f"{path} is empty; fetch the file again")
    if suffix == ".json":
        content, repeated = parse_json(text, path)
        return JsonFile(path=path, content=content, repeated=repeated)
    if suffix == ".jsonl":
        return JsonFile(path=path, content=list(_json_lines(text, path)))
    return TableFile(path=path, rows=_rows(text, path))


def without_repeats(file: AnnotationFile) -> AnnotationFile:
    """Leave out the records of a file that are the same as one before, and count them.

    That is right for the files of a data set's owners, whose records have numbers of their own or
    name each clip once. Elsewhere two equal rows may be two people's captions of one clip.
    """
    if isinstance(file, TableFile):
        kept = _first_of_each(file.rows, [tuple(cells) for _, cells in file.rows])
        return replace(file, rows=kept, repeated=file.repeated + len(file.rows) - len(kept))
    repeated = file.repeated
    lists = file.content if isinstance(file.content, dict) else {"": file.content}
    content = dict(lists)
    for name, values in lists.items():
        if isinstance(values, list) and all(isinstance(one, dict) for one in values):
            unique = _first_of_each(values, [json.dumps(one, sort_keys=True) for one in values])
            content[name] = unique
            repeated += len(values) - len(unique)
    is_object = isinstance(file.content, dict)
    return replace(file, content=content if is_object else content[""], repeated=repeated)


def _first_of_each(values: Sequence[Value], keys: Sequence[Hashable]) -> list[Value]:
    """Give the first of all values that have the same key, in their order."""
    first: dict[Hashable, Value] = {}
    for key, value in zip(keys, values, strict=True):
        first.setdefault(key, value)
    return list(first.values())


def check_there(path: Path, *, setting: str = "datasets.<name>.annotations") -> None:
    """Check that an annotation file is there.

    Raises:
        ValueError: If it is not.
    """
    if not path.is_file():
        raise ValueError(
            f"the annotation file {path} is not there (looked for {path.absolute()}); put it "
            f"there, or correct {setting}"
        )


def read_text(path: Path) -> str:
    """Read a text in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: If it is in another encoding, or holds control characters.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 (byte {error.start} is "
            f"{error.object[error.start]:#04x}); save it in UTF-8"
        ) from error
    if found := CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(
            f"line {line} of {path} holds the control character U+{ord(found[0]):04X} "
            f"({len(CONTROL.findall(text))} such in the file); take them out, or save the file in "
            "UTF-8 if it is in another encoding"
        )
    return text


class _RepeatedKeyError(ValueError):
    """An object has a key twice, with different values."""


class _Objects:
    """Makes JSON objects of their keys and values, and counts keys that stand there twice."""

    def __init__(self) -> None:
        self.repeated = 0

    def make(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            if differing := [key for key, value in pairs if value != made[key]]:
                raise _RepeatedKeyError(
                    f"has the key {differing[0]!r} twice in one object, with different values"
                )
            self.repeated += len(pairs) - len(made)
        return made


def parse_json(
    text: str, path: Path, *, advice: str = "fetch the file again"
) -> tuple[object, int]:
    """Parse the text of a JSON file.

    Returns:
        Its content, and how many keys with their values stand twice in one object.

    Raises:
        ValueError: If it is no JSON, nested too deep, or holds a number of thousands of digits or
            a key with two values.
    """
    objects = _Objects()
    try:
        content: object = json.loads(text, object_pairs_hook=objects.make)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}; {advice}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{path} is JSON that {_beyond_reading(error)}; {advice}") from error
    return content, objects.repeated


def _json_lines(text: str, path: Path) -> Iterator[object]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line, object_pairs_hook=_Objects().make)
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{path} is not JSON lines: line {number}, column {error.colno}: {error.msg}; "
                    "fetch the file again"
                ) from error
            except (RecursionError, ValueError) as error:
                raise ValueError(
                    f"line {number} of {path} is JSON that {_beyond_reading(error)}; fetch the "
                    "file again"
                ) from error


def _beyond_reading(error: RecursionError | ValueError) -> str:
    """Say what is not read although JSON allows it."""
    if isinstance(error, _RepeatedKeyError):
        return str(error)
    if isinstance(error, RecursionError):
        return "is nested too deep to be an annotation file"
    return f"holds a number of more than {sys.get_int_max_str_digits():,} digits"


def _rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    if path.suffix.lower() == ".txt":
        lines = enumerate(text.splitlines(), start=1)
        return [(number, [line.strip()]) for number, line in lines if line.strip()]
    is_tabbed = "\t" in text.lstrip().split("\n", 1)[0]
    reader = (
        csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
        if is_tabbed
        else csv.reader(io.StringIO(text, newline=""), strict=True)
    )
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ValueError(
            f"{path} is not CSV: line {reader.line_num}: {error}; fetch the file again"
        ) from error
