"""A source of the table -> its files, here: fetched, checked, unpacked; or what to do by hand."""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gram.config.sources import DriveSource, FileSource, HandSource, HttpSource, HubSource
from gram.data.media_files import SUFFIXES
from gram.data.status import Status
from gram.fetch.archives import unpack
from gram.fetch.download import Expected, Fetched, check_present, download
from gram.fetch.drive import fetch_from_drive
from gram.fetch.errors import FetchError
from gram.fetch.hub import fetch_from_hub
from gram.fetch.plan import write_record
from gram.files import atomic_path, write_text

log = logging.getLogger(__name__)


class ByHandError(FetchError):
    """A file that somebody has to put in place; the message is the page that says how."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """The files of a source, here.

    Attributes:
        fetched: The file itself.
        folder: Where its files are.
        files: Their names below the folder: those unpacked, or the file itself.
    """

    fetched: Fetched
    folder: Path
    files: tuple[str, ...]


def fetch_source(
    name: str, source: FileSource, folder: Path, *, media: Path | None = None
) -> Received:
    """Bring a source here and unpack it; what is there already is only checked.

    Args:
        name: Name of the source.
        source: The source.
        folder: Where its file goes; files that it holds go beside it.
        media: Where media files that it holds go instead.

    Raises:
        ByHandError: If somebody has to put the file there.
        FetchError: If it cannot be had, or is not what the table says.
    """
    fetched = _fetch(name, source, folder / source.file)
    log.info("%s: %s, %d bytes, SHA-256 %s", name, fetched.path, fetched.bytes, fetched.sha256)
    if source.is_media:
        place = media or folder
        unpacked = unpack(fetched.path, place, wanted=_media_member)
        if not unpacked.files:
            raise FetchError(
                f"{fetched.path} holds no media file, but {unpacked.left_out} others; look into "
                "it, and correct the table of sources",
                status=Status.NO_VIDEO,
            )
        return Received(fetched=fetched, folder=place, files=unpacked.files)
    if not source.members:
        return Received(fetched=fetched, folder=folder, files=(source.file,))
    members = set(source.members)

    def wanted(path: str) -> str | None:
        file = PurePosixPath(path).name
        return file if file in members and not _is_hidden(path) else None

    files = unpack(fetched.path, folder, wanted=wanted).files
    if absent := sorted(members - set(files)):
        raise FetchError(
            f"{fetched.path} holds no {', '.join(absent)}; look into it, and correct the table of "
            "sources",
            status=Status.NOT_FOUND,
        )
    return Received(fetched=fetched, folder=folder, files=files)


def receive(name: str, source: FileSource, *, folder: Path, media: str, receipt: Path) -> None:
    """Bring a source to its place in the workflow, and write its receipt.

    Args:
        name: Name of the source.
        source: The source.
        folder: Where its file goes.
        media: Folder for the media files that it holds; empty: it holds none.
        receipt: JSON file to write.

    Raises:
        ByHandError: If somebody has to put the file there.
        FetchError: If it cannot be had, or is not what the table says.
    """
    received = fetch_source(name, source, folder, media=Path(media) if media else None)
    _write_receipt(receipt, name, source, received)


def _write_receipt(path: Path, name: str, source: FileSource, received: Received) -> None:
    """Write down what came from where, with its checksum."""
    receipt = {
        "source": name,
        "from": source.model_dump(mode="json"),
        "bytes": received.fetched.bytes,
        "sha256": received.fetched.sha256,
        "folder": str(received.folder),
        "files": list(received.files),
    }
    write_text(path, json.dumps(receipt, indent=2) + "\n")


def place_annotation(receipt: Path, annotation: Path) -> None:
    """Copy an annotation file from where it was fetched to where the settings want it.

    Args:
        receipt: Receipt of the source that gives it.
        annotation: Where it shall be.

    Raises:
        ValueError: If the source's files are not there any more.
    """
    facts: Mapping[str, str] = json.loads(receipt.read_text(encoding="utf-8"))
    fetched = Path(facts["folder"]) / annotation.name
    if not fetched.is_file():
        raise ValueError(
            f"{fetched}, which {receipt} says was fetched, is not there; delete {receipt} to have "
            "it fetched anew"
        )
    with atomic_path(annotation) as temporary:
        shutil.copyfile(fetched, temporary)
    write_record(annotation, source=facts["source"])


def _fetch(name: str, source: FileSource, target: Path) -> Fetched:
    expected = Expected(bytes=source.bytes, sha256=source.sha256)
    match source:
        case HttpSource():
            return download(source.url, target, expected=expected)
        case DriveSource():
            return fetch_from_drive(source.id, target, expected=expected)
        case HubSource():
            return fetch_from_hub(source, target, expected=expected)
        case HandSource():
            return _put_by_hand(name, source, target, expected)


def _put_by_hand(name: str, source: HandSource, target: Path, expected: Expected) -> Fetched:
    """Check a file that somebody put there; write a page on how to get it if nobody did."""
    page = target.with_name(f"{target.name}.how-to-get-it.txt")
    if target.exists():
        present = check_present(target, expected)
        page.unlink(missing_ok=True)
        return present
    text = instructions(name, source, target)
    write_text(page, text)
    raise ByHandError(f"{text}\nThis page: {page}", status=Status.PRIVATE)


def instructions(name: str, source: HandSource, target: Path) -> str:
    """Write the page that says how to get a file by hand."""
    size = "not known" if source.bytes is None else f"{source.bytes:,} bytes"
    return (
        f"The source {name} has to be put in place by hand.\n\n"
        f"  what it is   {source.what}\n"
        f"  where        {source.url}\n"
        f"  what to do   {source.how}\n"
        f"  license      {source.license}\n"
        f"  put it at    {target}\n"
        f"  full path    {target.absolute()}\n"
        f"  size         {size}\n"
        f"  SHA-256      {source.sha256 or 'not known'}\n\n"
        "Then start again; it is checked, and used. With `snakemake --keep-going` everything that "
        "does not need it goes on meanwhile.\n"
    )


def _media_member(path: str) -> str | None:
    is_media = PurePosixPath(path).suffix.lower() in SUFFIXES
    return path if is_media and not _is_hidden(path) else None


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(path).parts)
