"""LSMDC: clips of films with one sentence each.

Official, after an agreement with the owners: ``LSMDC16_annos_training.csv``,
``LSMDC16_annos_val.csv`` and ``LSMDC16_challenge_1000_publictect.csv``, with tabs between cells and
without a header: clip, start and end aligned, start and end extracted, sentence. Clips repeat in
training.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, TableFile
from gram.data.readers.forms import ClipsForm, Format, Ids, ids_form, upstream_form

IDS = Ids(
    pattern=r".+_\d\d\.\d\d\.\d\d\.\d{3}-\d\d\.\d\d\.\d\d\.\d{3}",
    example="1012_Unbreakable_00.56.36.981-00.56.38.167",
)


def _is_official(file: AnnotationFile) -> bool:
    return isinstance(file, TableFile) and len(file.header) == 6 and IDS.match(file.header[0])


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, TableFile)  # noqa: S101 - as tested above
    for line, cells in file.rows:
        where = f"line {line} of {file.path}"
        name, *_, sentence = file.cells(line, cells)
        clip_id = IDS.check(name, where)
        yield Clip(clip_id=clip_id, source_id=clip_id, split=None, captions=(sentence,))


LSMDC = Format(
    title="LSMDC",
    clips=(
        upstream_form(IDS, text_key="desc"),
        ClipsForm(
            name="the official annotations",
            fits=_is_official,
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(ids_form(IDS),),
    rows_are_captions=True,
    advice="give upstream's descs_ret_*.json, or the official LSMDC16_*.csv of the split",
)
