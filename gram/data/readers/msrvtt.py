"""MSR-VTT: 10,000 clips of 10 to 30 s with 20 captions each.

Official: ``videodatainfo`` or ``MSRVTT_data.json`` (all sentences of all clips), and two lists: the
1k-A test list ``MSRVTT_JSFUSION_test.csv``, which names one sentence a clip, and the training list
``MSRVTT_train.9k.csv``. Upstream: ``descs_ret_train.json`` has one row a caption, 20 a clip.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile, TableFile
from gram.data.readers.forms import (
    ClipsForm,
    Format,
    Ids,
    ListForm,
    has_columns,
    ids_form,
    objects_of,
    upstream_form,
)
from gram.data.readers.values import need_name, read_texts

IDS = Ids(pattern=r"video\d+", example="video7020")
TEST_COLUMNS = ("key", "vid_key", "video_id", "sentence")


def _is_videodatainfo(file: AnnotationFile) -> bool:
    return (
        isinstance(file, JsonFile)
        and isinstance(file.content, dict)
        and all(isinstance(file.content.get(name), list) for name in ("videos", "sentences"))
    )


def _read_videodatainfo(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, JsonFile)  # noqa: S101 - as tested above
    content = file.content
    assert isinstance(content, dict)  # noqa: S101
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for where, video in objects_of(content["videos"], file.path, what="video"):
        video_id = IDS.check(need_name(video, where, keys=("video_id",)), where)
        if video_id in splits:
            raise ValueError(
                f"{where}: {video_id!r} is there a second time, with other facts; fetch the file "
                "again"
            )
        splits[video_id] = need_name(video, where, keys=("split",))
        captions[video_id] = []
    for where, sentence in objects_of(content["sentences"], file.path, what="sentence"):
        video_id = need_name(sentence, where, keys=("video_id",))
        if video_id not in captions:
            raise ValueError(
                f"{where} is of the video {video_id!r}, which is not among its {len(splits)} "
                "videos; fetch the file again"
            )
        captions[video_id] += read_texts(sentence.get("caption"), where, key="caption")
    for video_id, split in splits.items():
        yield Clip(
            clip_id=video_id, source_id=video_id, split=split, captions=tuple(captions[video_id])
        )


def _read_test_list(file: AnnotationFile) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    assert isinstance(file, TableFile)  # noqa: S101 - as tested by has_columns
    for where, row in file.records():
        yield IDS.check(row["video_id"], where), (row["sentence"],)


def _read_test_clips(file: AnnotationFile) -> Iterator[Clip]:
    for video_id, captions in _read_test_list(file):
        yield Clip(clip_id=video_id, source_id=video_id, split=None, captions=captions or ())


MSRVTT = Format(
    title="MSR-VTT",
    clips=(
        upstream_form(IDS, text_key="desc"),
        ClipsForm(
            name="the official videodatainfo",
            fits=_is_videodatainfo,
            read=_read_videodatainfo,
            is_official=True,
        ),
        ClipsForm(
            name="the 1k-A test list",
            fits=has_columns(*TEST_COLUMNS),
            read=_read_test_clips,
            is_official=True,
        ),
    ),
    lists=(
        ListForm(name="the 1k-A test list", fits=has_columns(*TEST_COLUMNS), read=_read_test_list),
        ids_form(IDS),
    ),
    splits={"val": ("validate",)},
    rows_are_captions=True,
    captions_a_clip=20,
    advice=(
        "give upstream's descs_ret_*.json, or MSRVTT_data.json with MSRVTT_train.9k.csv for "
        "training and MSRVTT_JSFUSION_test.csv for the 1k-A test"
    ),
)
