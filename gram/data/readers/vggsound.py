"""VGGSound: 10 s clips of 309 classes; the text of a clip is its class.

Official: ``vggsound.csv`` (YouTube id, start, class, split, without a header), or ``train.csv`` and
``test.csv`` (file name, class). The published code comes with no file; a list of ids says which
clips count. AudioCaps' test leaves out what the training list names.
"""

import re
from collections.abc import Iterator, Sequence

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, TableFile
from gram.data.readers.forms import ClipsForm, Format, Ids, ids_form, upstream_form

IDS = Ids(pattern=r"[\w-]{11}_\d{6}", example="glLQrEijrKg_000300")
FILE = re.compile(r"([\w-]{11}_\d{6})\.mp4")
"""Names of media files in the lists of one split."""


def is_whole(file: AnnotationFile) -> bool:
    """Tell whether a file is ``vggsound.csv``: YouTube id, start, class, split."""
    if not isinstance(file, TableFile) or len(file.header) != 4:
        return False
    name, start, _, split = file.header
    is_clip = re.fullmatch(r"[\w-]{11}", name) is not None and start.isdecimal()
    return is_clip and split in ("train", "test")


def is_split(file: AnnotationFile) -> bool:
    """Tell whether a file is a list of one split: file name, class."""
    return (
        isinstance(file, TableFile)
        and len(file.header) == 2
        and FILE.fullmatch(file.header[0]) is not None
    )


def read_whole(file: AnnotationFile) -> Iterator[Clip]:
    """Give the clips of ``vggsound.csv``, each with its split.

    Raises:
        ValueError: If a row is not of the form.
    """
    for where, (name, start, label, split) in _rows(file):
        if not start.isdecimal():
            raise ValueError(
                f"{where}: {start!r} is not a time in whole seconds; fetch the file again"
            )
        yield _clip(IDS.check(f"{name}_{int(start):06d}", where), label, split=split)


def read_split(file: AnnotationFile) -> Iterator[Clip]:
    """Give the clips of a list of one split.

    Raises:
        ValueError: If a row is not of the form.
    """
    for where, (name, label) in _rows(file):
        yield _clip(IDS.check(name.removesuffix(".mp4"), where), label, split=None)


def _rows(file: AnnotationFile) -> Iterator[tuple[str, Sequence[str]]]:
    assert isinstance(file, TableFile)  # noqa: S101 - as tested above
    for line, cells in file.rows:
        yield f"line {line} of {file.path}", file.cells(line, cells)


def _clip(clip_id: str, label: str, *, split: str | None) -> Clip:
    return Clip(clip_id=clip_id, source_id=clip_id, split=split, captions=(label,), label=label)


VGGSOUND = Format(
    title="VGGSound",
    clips=(
        upstream_form(IDS, text_key="desc", is_label=True),
        ClipsForm(
            name="the official vggsound.csv", fits=is_whole, read=read_whole, is_official=True
        ),
        ClipsForm(
            name="an official list of one split", fits=is_split, read=read_split, is_official=True
        ),
    ),
    lists=(ids_form(IDS, id_of=lambda line: line.removesuffix(".mp4")),),
    advice="give vggsound.csv or the split's own csv, and a list of ids where not all clips count",
)
