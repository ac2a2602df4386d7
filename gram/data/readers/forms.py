"""Forms of annotation files: how a file is recognized by its content, and what it says.

A published data set has files of its own (official), files that the published code reads, which
were made of them (upstream), and lists of ids, which say which of its clips count.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile, Record, TableFile
from gram.data.readers.values import (
    ID_KEYS,
    checked_text,
    json_type,
    keys_of,
    need_name,
    read_text_value,
    read_texts,
)

IMAGE_KEYS = ("image", "image_id")
"""Keys that name a picture in records of others."""

HEADERS = ("video_id", "clip_id", "id", "file_name")
"""What may stand above the ids of a list."""


def no_misfit(_: AnnotationFile) -> str:
    """Say nothing of a file that has not a form."""
    return ""


@dataclass(frozen=True, kw_only=True)
class ClipsForm:
    """A form of file that names clips with their captions.

    Attributes:
        name: How messages call it: "the official videodatainfo".
        fits: Tells whether a file has this form, from its content.
        read: Gives its clips, blank captions included. The rows of a clip may be several.
        is_official: Whether it is a file of the data set's owners. Its records are never the same:
            they have numbers of their own, or name each clip once.
        misfit: Says what a file's id is that would have this form with another id; else nothing.
    """

    name: str
    fits: Callable[[AnnotationFile], bool]
    read: Callable[[AnnotationFile], Iterator[Clip]]
    is_official: bool
    misfit: Callable[[AnnotationFile], str] = no_misfit


def clip_id_of(clip: Clip) -> str:
    """Give what lists of ids usually name."""
    return clip.clip_id


@dataclass(frozen=True, kw_only=True)
class ListForm:
    """A form of file that says which clips count.

    Attributes:
        name: How messages call it.
        fits: Tells whether a file has this form.
        read: Gives its ids, each with the captions that count, or None where all do.
        keeps: Whether the named clips are those that count, or those that do not.
        key: What the ids of clips that do not count name; of those that do, it is the clip's id.
    """

    name: str
    fits: Callable[[AnnotationFile], bool]
    read: Callable[[AnnotationFile], Iterator[tuple[str, tuple[str, ...] | None]]]
    keeps: bool = True
    key: Callable[[Clip], str] = clip_id_of


@dataclass(frozen=True, kw_only=True)
class Format:
    """All forms of file of one published data set.

    Attributes:
        title: Its name in messages.
        clips: Forms that name clips.
        lists: Forms that say which of them count.
        splits: Names that the files have for a split of ours, where they are others.
        rows_are_captions: Whether several rows of a clip are its several captions.
        tests_on_validation: Whether the published code's test split is the owners' validation.
        captions_a_clip: Number of captions that each clip usually has; None: it varies.
        shares_names: Whether several files may name different clips alike.
        advice: Which files to give.
    """

    title: str
    clips: tuple[ClipsForm, ...]
    lists: tuple[ListForm, ...]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows_are_captions: bool = False
    tests_on_validation: bool = False
    captions_a_clip: int | None = None
    shares_names: bool = False
    advice: str


def first_record(file: AnnotationFile) -> Record | None:
    """Give the first record of a JSON list of records; None of any other file."""
    if isinstance(file, JsonFile) and isinstance(file.content, list) and file.content:
        record = file.content[0]
        return record if isinstance(record, dict) else None
    return None


def records_of(file: AnnotationFile) -> Iterator[tuple[str, Record]]:
    """Give the records of a JSON list, each with where it stands.

    Raises:
        ValueError: If one of them is no object.
    """
    content = file.content if isinstance(file, JsonFile) else None
    yield from objects_of(content, file.path, what="record")


def objects_of(values: object, path: Path, *, what: str) -> Iterator[tuple[str, Record]]:
    """Give the objects of a list, each with where it stands.

    Raises:
        ValueError: If it is no list, or one of its values is no object.
    """
    if not isinstance(values, list):
        raise ValueError(
            f"{path} has a {json_type(values)} where a list of {what}s is needed; fetch the file "
            "again"
        )
    for number, record in enumerate(values, start=1):
        where = f"{what} {number} of {path}"
        if not isinstance(record, dict):
            raise ValueError(
                f"{where} is a JSON {json_type(record)}, not an object; fetch the file again"
            )
        yield where, record


def has_columns(*columns: str) -> Callable[[AnnotationFile], bool]:
    """Make a test of whether a table's first line is these names, in this order."""

    def fits(file: AnnotationFile) -> bool:
        return isinstance(file, TableFile) and file.header == columns

    return fits


# --- upstream's records ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ids:
    """What the clip ids of a data set look like.

    Attributes:
        pattern: Regular expression that each of them matches as a whole.
        example: One of them, for messages.
        source_of: Gives the name of a clip's media file, without suffix, from its id.
    """

    pattern: str
    example: str
    source_of: Callable[[str], str] = str

    def match(self, clip_id: str) -> bool:
        """Tell whether an id is one of this data set."""
        return re.fullmatch(self.pattern, clip_id) is not None

    def check(self, clip_id: str, where: str) -> str:
        """Pass an id on if it is one of this data set.

        Raises:
            ValueError: If it is not.
        """
        if not self.match(clip_id):
            raise ValueError(
                f"{where}: {clip_id!r} is not an id like {self.example!r}; fetch the file again"
            )
        return clip_id


def upstream_form(
    ids: Ids,
    *,
    text_key: str,
    end_seconds: float | None = None,
    id_keys: Sequence[str] = ID_KEYS,
    is_label: bool = False,
) -> ClipsForm:
    """Describe the JSON that the published code reads: a list of flat records.

    Args:
        ids: What its ids look like.
        text_key: Key of a record's caption or captions.
        end_seconds: Where each clip ends, if not at the end of its file.
        id_keys: Keys of a record's id; the first that is there counts.
        is_label: Whether the text is the clip's class, too.
    """

    def first_id(file: AnnotationFile) -> str | None:
        record = first_record(file)
        if record is None or text_key not in record:
            return None
        names = (record.get(key) for key in id_keys)
        return next((str(name) for name in names if isinstance(name, str | int)), None)

    def fits(file: AnnotationFile) -> bool:
        name = first_id(file)
        return name is not None and ids.match(name)

    def misfit(file: AnnotationFile) -> str:
        name = first_id(file)
        is_other = name is not None and not ids.match(name)
        return f"whose id {name!r} is not one like {ids.example!r}" if is_other else ""

    def read(file: AnnotationFile) -> Iterator[Clip]:
        for where, record in records_of(file):
            clip_id = ids.check(need_name(record, where, keys=id_keys), where)
            if record.get(text_key) is None:
                raise ValueError(
                    f"{where} has no {text_key}; its keys are {keys_of(record)}; fetch the file "
                    "again"
                )
            captions = read_texts(record[text_key], where, key=text_key)
            yield Clip(
                clip_id=clip_id,
                source_id=ids.source_of(clip_id),
                split=None,
                end_seconds=end_seconds,
                captions=captions,
                subtitle=read_text_value(record, where, key="subtitle"),
                label=captions[0] if is_label and captions else None,
            )

    return ClipsForm(
        name="upstream's records", fits=fits, read=read, is_official=False, misfit=misfit
    )


# --- lists of ids ----------------------------------------------------------------------------


def ids_form(ids: Ids, *, id_of: Callable[[str], str] = str) -> ListForm:
    """Describe a list of clip ids: one a line, a table of one column, or a JSON list of texts.

    Args:
        ids: What they look like.
        id_of: Gives the id of a line, which may have a suffix.
    """

    def texts(file: AnnotationFile) -> list[str]:
        if isinstance(file, TableFile):
            cells = [row[0] for _, row in file.rows if len(row) == 1]
            is_whole = len(cells) == len(file.rows)
            return cells[cells[0] in HEADERS :] if cells and is_whole else []
        if isinstance(file.content, list) and all(isinstance(one, str) for one in file.content):
            return file.content
        return []

    def fits(file: AnnotationFile) -> bool:
        lines = texts(file)
        return bool(lines) and ids.match(id_of(lines[0]))

    def read(file: AnnotationFile) -> Iterator[tuple[str, tuple[str, ...] | None]]:
        for number, line in enumerate(texts(file), start=1):
            where = f"id {number} of {file.path}"
            yield ids.check(checked_text(id_of(line), where, key="it"), where), None

    return ListForm(name="a list of ids", fits=fits, read=read)
