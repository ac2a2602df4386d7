"""Whether a file is what its name says, by its first bytes: a page of HTML is no archive."""

import html
import re
from collections.abc import Mapping
from pathlib import Path

HEAD_BYTES = 4096
"""Bytes that are looked at."""

_MARK = b"\xef\xbb\xbf"
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(
    rb"^\s*(?:(?><!--.*?-->|<\?xml.*?\?>)\s*)*+"  # comments and a prolog; never tried another way
    rb"<(?:!doctype\s+html|html|head|body|script|style|title|meta)\b",
    re.I | re.S,
)
_PAGE_TYPES = {"text/html", "application/xhtml+xml"}
_PAGE_SUFFIXES = {".html", ".htm", ".xhtml"}

_ISO = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BEGINNINGS: Mapping[str, tuple[str, int, tuple[bytes, ...]]] = {
    ".zip": ("a ZIP archive", 0, _ZIP),
    ".gz": ("a gzip file", 0, (b"\x1f\x8b",)),
    ".tgz": ("a gzip file", 0, (b"\x1f\x8b",)),
    ".tar": ("a tar archive", 257, (b"ustar",)),
    ".7z": ("a 7z archive", 0, (b"7z\xbc\xaf\x27\x1c",)),
    ".mp4": ("an MP4 file", 4, _ISO),
    ".m4v": ("an MP4 file", 4, _ISO),
    ".mov": ("a QuickTime file", 4, _ISO),
    ".mkv": ("a Matroska file", 0, (b"\x1a\x45\xdf\xa3",)),
    ".webm": ("a WebM file", 0, (b"\x1a\x45\xdf\xa3",)),
    ".parquet": ("a parquet file", 0, (b"PAR1",)),
    ".pt": ("a file of torch weights", 0, (*_ZIP, b"\x80")),
    ".safetensors": ("a safetensors file", 8, (b"{",)),
}
"""Suffix -> what it is, where its mark stands, and the marks that it can have."""

_TABLES = {".csv", ".tsv", ".txt"}
_TEXTS = {".json", *_TABLES}


def check_content(path: Path, *, name: str) -> str | None:
    """Say why a file cannot be what its name says; None if it can.

    Args:
        path: The file, under whatever name.
        name: The name that it will have.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    suffix = Path(name).suffix.lower()
    if suffix in _PAGE_SUFFIXES:
        return None
    if is_page(head):
        return f"it is a page of HTML{page_title(path.read_bytes()[: 2**16])}"
    if not head:
        return "it is empty"
    if suffix in _BEGINNINGS:
        what, offset, marks = _BEGINNINGS[suffix]
        if not head[offset:].startswith(marks):
            return f"it is not {what}: it begins with {head[:16]!r}"
    if suffix in _TEXTS and b"\0" in head:
        return f"it is not text: it begins with {head[:16]!r}"
    first = head.removeprefix(_MARK).lstrip()[:1]
    if suffix == ".json" and first not in (b"[", b"{"):
        return f"it is not JSON: it begins with {head[:16]!r}"
    if suffix in _TABLES and first in (b"<", b"{"):
        return f"it is markup or JSON and not lines of text: it begins with {head[:60]!r}"
    return None


def is_served_as_page(media_type: str, *, name: str) -> bool:
    """Tell whether a server says that it sends a page in the place of a file.

    Args:
        media_type: The header Content-Type.
        name: The file's name. What a mark tells is told by the content, whatever the server says.
    """
    suffix = Path(name).suffix.lower()
    is_page_type = media_type.split(";")[0].strip().lower() in _PAGE_TYPES
    return is_page_type and suffix not in {*_PAGE_SUFFIXES, *_BEGINNINGS, ".json"}


def is_page(head: bytes) -> bool:
    """Tell whether a text begins as a page of HTML does."""
    return _PAGE.match(head.removeprefix(_MARK)) is not None


def page_title(content: bytes) -> str:
    """Give the title of a page for the middle of a message; nothing if it has none.

    Example:
        >>> page_title(b"<html><title>Quota exceeded</title>")
        " titled 'Quota exceeded'"
    """
    found = _TITLE.search(content.decode("utf-8", "replace"))
    if found is None or not found[1].strip():
        return ""
    return f" titled {' '.join(html.unescape(found[1]).split())[:120]!r}"
