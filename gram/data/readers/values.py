"""Values of one record, each checked; an error says which record of which file is wrong."""

import math
from collections.abc import Sequence

from gram.data.readers.files import CONTROL, Record

ID_KEYS = ("clip_id", "video_id", "id")
CAPTION_KEYS = ("desc", "caption", "vast_cap")
"""The first key that a record has counts, as upstream does."""


def keys_of(record: Record) -> str:
    """Name the keys of a record, for a message."""
    return ", ".join(str(key) for key in record) or "none"


def json_type(value: object) -> str:
    """Name the type of a JSON value."""
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


def read_name(record: Record, where: str, *, keys: Sequence[str]) -> str | None:
    """Read the first of the keys that is there: a text that is not blank, or a whole number."""
    for key in keys:
        match record.get(key):
            case bool():
                raise ValueError(f"{where}: {key} is true or false; give a text")
            case int(number):
                return str(number)
            case str(text) if text.strip():
                return checked_text(text, where, key=key)
    return None


def need_name(record: Record, where: str, *, keys: Sequence[str]) -> str:
    """Read a name that must be there.

    Raises:
        ValueError: If no key has one.
    """
    name = read_name(record, where, keys=keys)
    if name is None:
        raise ValueError(
            f"{where} has no {' or '.join(keys)} that is a text; its keys are {keys_of(record)}; "
            "fetch the file again"
        )
    return name


def read_texts(value: object, where: str, *, key: str) -> tuple[str, ...]:
    """Read a text or a list of texts, blank ones too.

    Raises:
        ValueError: If one of them is no text.
    """
    texts = []
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            raise ValueError(
                f"{where}: {key} holds a {json_type(text)}; give a text or a list of texts"
            )
        texts.append(checked_text(text, where, key=key))
    return tuple(texts)


def read_text_value(record: Record, where: str, *, key: str) -> str | None:
    """Read a text that may be absent.

    Raises:
        ValueError: If it is no text.
    """
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{where}: {key} is a {json_type(value)}; give a text")
    return checked_text(value, where, key=key)


def checked_text(text: str, where: str, *, key: str) -> str:
    """Pass a text on if it can be written and shown.

    Raises:
        ValueError: If it holds control characters, or half a character, as JSON may.
    """
    if found := CONTROL.search(text):
        raise ValueError(
            f"{where}: {key} holds the control character U+{ord(found[0]):04X} "
            f"({text[:60]!a}); take it out"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: {key} holds half a character ({text[error.start]!a}) and cannot be written; "
            "correct the text"
        ) from error
    return text


def read_seconds(value: object, where: str) -> float | None:
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
