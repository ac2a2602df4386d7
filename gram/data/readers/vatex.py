"""VATEX: 10 s clips of Kinetics-600 with 10 English captions each.

Official: ``vatex_training_v1.0.json``, ``vatex_validation_v1.0.json``. Upstream's 1,500 test clips
are those of the validation file that the HGR test list names, so that both files are given.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile
from gram.data.readers.forms import (
    ClipsForm,
    Format,
    Ids,
    first_record,
    ids_form,
    records_of,
    upstream_form,
)
from gram.data.readers.values import need_name, read_texts

IDS = Ids(pattern=r"[\w-]{11}_\d{6}_\d{6}", example="G9zN5TTuGO4_000179_000189")


def _is_official(file: AnnotationFile) -> bool:
    record = first_record(file)
    return record is not None and {"videoID", "enCap"} <= set(record)


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    for where, record in records_of(file):
        clip_id = IDS.check(need_name(record, where, keys=("videoID",)), where)
        captions = read_texts(record.get("enCap"), where, key="enCap")
        yield Clip(clip_id=clip_id, source_id=clip_id, split=None, captions=captions)


VATEX = Format(
    title="VATEX",
    clips=(
        upstream_form(IDS, text_key="desc"),
        ClipsForm(
            name="the official captions",
            fits=_is_official,
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(ids_form(IDS),),
    rows_are_captions=True,
    captions_a_clip=10,
    advice=(
        "give upstream's descs_ret_*.json, or vatex_training_v1.0.json, and for the test "
        "vatex_validation_v1.0.json with the HGR test list (test_list.txt)"
    ),
)
