"""YouCook2: steps of cooking videos, each a clip with one sentence.

Official: ``youcookii_annotations_trainval.json``. Upstream's test split is the official validation
without the videos that were dead; a clip's id, and the name of its media file, is
``<YouTube id>_<start>_<end>`` in whole seconds.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile
from gram.data.readers.forms import ClipsForm, Format, Ids, ids_form, upstream_form
from gram.data.readers.values import json_type, need_name, read_texts

IDS = Ids(pattern=r"[\w-]{11}_(0|[1-9]\d*)_[1-9]\d*", example="xHr8X2Wpmno_47_60")


def _is_official(file: AnnotationFile) -> bool:
    return (
        isinstance(file, JsonFile)
        and isinstance(file.content, dict)
        and isinstance(database := file.content.get("database"), dict)
        and bool(database)
        and isinstance(video := next(iter(database.values())), dict)
        and {"subset", "recipe_type"} <= set(video)
    )


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, JsonFile)  # noqa: S101 - as tested above
    assert isinstance(file.content, dict)  # noqa: S101
    for name, video in file.content["database"].items():
        where = f"video {name!r} of {file.path}"
        if not isinstance(video, dict):
            raise ValueError(f"{where} is a JSON {json_type(video)}; fetch the file again")
        split = need_name(video, where, keys=("subset",))
        for number, step in enumerate(video.get("annotations") or [], start=1):
            yield _clip(name, step, where=f"annotation {number} of {where}", split=split)


def _clip(video: str, step: object, *, where: str, split: str) -> Clip:
    segment = step.get("segment") if isinstance(step, dict) else None
    if not isinstance(step, dict) or not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(
            f"{where} has no segment of two times (found {segment!r}); fetch the file again"
        )
    clip_id = IDS.check(f"{video}_{segment[0]}_{segment[1]}", where)
    captions = read_texts(step.get("sentence"), where, key="sentence")
    return Clip(clip_id=clip_id, source_id=clip_id, split=split, captions=captions)


YOUCOOK2 = Format(
    title="YouCook2",
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
    splits={"train": ("training",), "val": ("validation",), "test": ("validation",)},
    advice="give upstream's descs_cap_*.json, or youcookii_annotations_trainval.json",
)
