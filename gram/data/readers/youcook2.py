"""YouCook2: steps of cooking videos, each a clip with one sentence.

Official: ``youcookii_annotations_trainval.json``, or the same steps in the form of ActivityNet
Captions, as the code PDVC comes with them: ``yc2_{train,val}.json``. Upstream's test split is the
official validation without the videos that were dead; a clip's id, and the name of its media file,
is ``<YouTube id>_<start>_<end>`` in whole seconds.
"""

import re
from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile
from gram.data.readers.forms import ClipsForm, Format, Ids, ids_form, upstream_form
from gram.data.readers.values import json_type, need_name, read_texts

PDVC_VIDEO = re.compile(r"v_[\w-]{11}")

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


def _clip(video: str, step: object, *, where: str, split: str | None) -> Clip:
    segment = step.get("segment") if isinstance(step, dict) else None
    if not isinstance(step, dict) or not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(
            f"{where} has no segment of two times (found {segment!r}); fetch the file again"
        )
    clip_id = IDS.check(f"{video}_{segment[0]}_{segment[1]}", where)
    captions = read_texts(step.get("sentence"), where, key="sentence")
    return Clip(clip_id=clip_id, source_id=clip_id, split=split, captions=captions)


PDVC_WITHHELD = "None"
"""Sentence of each video of ``yc2_test.json``, whose captions the owners do not give."""

PDVC_STEPS = 3
"""Least number of steps of a video by which its kind is told; YouCook2's have 3 to 16."""


def is_pdvc(file: AnnotationFile) -> bool:
    """Tell whether a file has YouCook2's steps in the form of ActivityNet Captions.

    Both have objects of videos ``v_<YouTube id>``, and are told apart by what they say: steps of
    YouCook2 begin and end at whole seconds and are written in small letters without a full stop;
    sentences of ActivityNet have fractions of seconds, capital letters and stops.
    """
    content = file.content if isinstance(file, JsonFile) else None
    if not isinstance(content, dict) or not content or not all(map(_is_video, content.items())):
        return False
    videos = list(content.values())
    times = [time for video in videos for span in video["timestamps"] for time in _pair(span)]
    texts = [text for video in videos for text in video["sentences"]]
    are_whole = all(isinstance(time, int) for time in times)
    are_plain = all(isinstance(text, str) and _is_plain(text) for text in texts)
    are_steps = len(times) >= 2 * PDVC_STEPS * len(videos) and are_plain
    return are_whole and (are_steps or set(texts) == {PDVC_WITHHELD})


def _is_video(item: tuple[str, object]) -> bool:
    name, video = item
    return (
        PDVC_VIDEO.fullmatch(name) is not None
        and isinstance(video, dict)
        and isinstance(video.get("timestamps"), list)
        and isinstance(video.get("sentences"), list)
    )


def _pair(span: object) -> list[object]:
    return span if isinstance(span, list) and len(span) == 2 else [None]


def _is_plain(text: str) -> bool:
    return text == text.lower() and not text.rstrip().endswith(".")


def _read_pdvc(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, JsonFile)  # noqa: S101 - as tested by is_pdvc
    assert isinstance(file.content, dict)  # noqa: S101
    for name, video in file.content.items():
        where = f"video {name!r} of {file.path}"
        spans, sentences = video["timestamps"], video["sentences"]
        if sentences == [PDVC_WITHHELD]:
            raise ValueError(
                f"{where} has no captions: those of YouCook2's test are not given; its retrieval "
                "is tested on the validation, yc2_val.json"
            )
        if len(spans) != len(sentences):
            raise ValueError(
                f"{where} has {len(spans)} timestamps and {len(sentences)} sentences; fetch the "
                "file again"
            )
        for number, (span, text) in enumerate(zip(spans, sentences, strict=True), start=1):
            step = {"segment": span, "sentence": text}
            place = f"sentence {number} of {where}"
            yield _clip(name.removeprefix("v_"), step, where=place, split=None)


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
        ClipsForm(
            name="the official steps in PDVC's form",
            fits=is_pdvc,
            read=_read_pdvc,
            is_official=True,
        ),
    ),
    lists=(ids_form(IDS),),
    tests_on_validation=True,
    splits={"train": ("training",), "val": ("validation",), "test": ("validation",)},
    advice="give upstream's descs_cap_*.json, or youcookii_annotations_trainval.json",
)
