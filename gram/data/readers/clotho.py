"""Clotho v2.1: sounds of 15 to 30 s with 5 captions each.

Official: ``clotho_captions_{development,validation,evaluation}.csv``, one row a sound. Upstream
trains on development and validation together, one row a caption. A name that stands in both is of
two sounds: of the official files each is called by its file, ``a (validation).wav``, and so is its
sound; upstream's file does not tell them apart, and gives one name the captions of both.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, TableFile
from gram.data.readers.forms import (
    ClipsForm,
    Format,
    Ids,
    has_columns,
    ids_form,
    upstream_form,
)

CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


def source_of(file_name: str) -> str:
    """Give the name of a sound's file without its suffix."""
    return file_name.removesuffix(".wav")


IDS = Ids(pattern=r"(?s).+\.wav", example="Santa Motor.wav", source_of=source_of)


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, TableFile)  # noqa: S101 - as tested by has_columns
    for where, row in file.records():
        clip_id = IDS.check(row["file_name"], where)
        yield Clip(
            clip_id=clip_id,
            source_id=source_of(clip_id),
            split=None,
            captions=tuple(row[column] for column in CAPTIONS),
        )


CLOTHO = Format(
    title="Clotho",
    clips=(
        upstream_form(IDS, text_key="caption"),
        ClipsForm(
            name="the official captions",
            fits=has_columns("file_name", *CAPTIONS),
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(ids_form(IDS),),
    rows_are_captions=True,
    captions_a_clip=len(CAPTIONS),
    shares_names=True,
    advice=(
        "give upstream's descs_cap_*.json, or clotho_captions_evaluation.csv for the test and "
        "clotho_captions_development.csv with clotho_captions_validation.csv for training"
    ),
)
