"""ActivityNet Captions: paragraphs of all sentences of a video.

Official: ``train.json``, ``val_1.json``, ``val_2.json``: an object of videos with their sentences.
Upstream: one record a video, whose paragraph joins the sentences in the order of the file, not of
time, with one blank and untrimmed; its test split is ``val_1``.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile
from gram.data.readers.forms import ClipsForm, Format, Ids, ids_form, upstream_form
from gram.data.readers.values import json_type, read_texts
from gram.data.readers.youcook2 import is_pdvc

IDS = Ids(pattern=r"v_[\w-]{11}", example="v_uqiMw7tQ1Cc")


def _is_official(file: AnnotationFile) -> bool:
    if not isinstance(file, JsonFile) or not isinstance(file.content, dict) or not file.content:
        return False
    name, video = next(iter(file.content.items()))
    has_sentences = isinstance(video, dict) and {"timestamps", "sentences"} <= set(video)
    return IDS.match(name) and has_sentences and not is_pdvc(file)


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, JsonFile)  # noqa: S101 - as tested above
    assert isinstance(file.content, dict)  # noqa: S101
    for name, video in file.content.items():
        where = f"video {name!r} of {file.path}"
        sentences = video.get("sentences") if isinstance(video, dict) else None
        if not isinstance(sentences, list):
            raise ValueError(
                f"{where}: sentences is a {json_type(sentences)}, where a list is needed; fetch "
                "the file again"
            )
        yield Clip(
            clip_id=IDS.check(name, where),
            source_id=name,
            split=None,
            captions=(" ".join(read_texts(sentences, where, key="sentences")),),
        )


ACTIVITYNET = Format(
    title="ActivityNet Captions",
    clips=(
        upstream_form(IDS, text_key="desc"),
        ClipsForm(
            name="the official sentences",
            fits=_is_official,
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(ids_form(IDS),),
    tests_on_validation=True,
    advice="give upstream's descs_ret_*.json, or train.json and, as the test split, val_1.json",
)
