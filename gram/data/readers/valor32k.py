"""VALOR-32K: 10 s clips of AudioSet with one caption each, which tells of sight and sound.

Official: ``txt_mapper.json`` (captions of every clip by its id) with the split's list of ids.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile
from gram.data.readers.forms import ClipsForm, Format, Ids, ids_form, upstream_form
from gram.data.readers.values import read_texts

IDS = Ids(pattern=r"[\w-]{11}_\d+\.\d{3}_\d+\.\d{3}", example="CEfOX4fYlsY_20.000_30.000")


def _is_official(file: AnnotationFile) -> bool:
    if not isinstance(file, JsonFile) or not isinstance(file.content, dict) or not file.content:
        return False
    name, captions = next(iter(file.content.items()))
    return IDS.match(name) and isinstance(captions, list | str)


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, JsonFile)  # noqa: S101 - as tested above
    assert isinstance(file.content, dict)  # noqa: S101
    for name, captions in file.content.items():
        where = f"clip {name!r} of {file.path}"
        yield Clip(
            clip_id=IDS.check(name, where),
            source_id=name,
            split=None,
            captions=read_texts(captions, where, key="the value"),
        )


VALOR32K = Format(
    title="VALOR-32K",
    clips=(
        upstream_form(IDS, text_key="desc"),
        ClipsForm(
            name="the official txt_mapper.json",
            fits=_is_official,
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(ids_form(IDS),),
    advice="give upstream's descs_cap_*.json, or txt_mapper.json with the split's list of ids",
)
