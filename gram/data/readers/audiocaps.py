"""AudioCaps: 10 s clips of AudioSet with 5 captions each in test and validation, 1 in training.

Official: ``{train,val,test}.csv``, one row a caption. Upstream's 729 test clips are those that were
alive (860) without those whose video VGGSound trains on, so that VGGSound's list may be given, too.
Upstream names media ``<YouTube id>_<start in whole seconds>``.
"""

from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, TableFile
from gram.data.readers.forms import (
    ClipsForm,
    Format,
    Ids,
    ListForm,
    has_columns,
    ids_form,
    upstream_form,
)
from gram.data.readers.values import read_seconds
from gram.data.readers.vggsound import is_split, is_whole, read_split, read_whole

CLIP_SECONDS = 10
COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


def source_of(clip_id: str) -> str:
    """Give the name of a clip's media file: its id up to the first dot.

    Example:
        >>> source_of("GOD8Bt5LfDE_100.000_110.000")
        'GOD8Bt5LfDE_100'
    """
    return clip_id.split(".", 1)[0]


IDS = Ids(
    pattern=r"[\w-]{11}_\d+\.\d{3}_\d+\.\d{3}",
    example="GOD8Bt5LfDE_100.000_110.000",
    source_of=source_of,
)


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    assert isinstance(file, TableFile)  # noqa: S101 - as tested by has_columns
    for where, row in file.records():
        start = read_seconds(row["start_time"], where) or 0.0
        name = f"{row['youtube_id']}_{start:.3f}_{start + CLIP_SECONDS:.3f}"
        clip_id = IDS.check(name, where)
        yield Clip(
            clip_id=clip_id, source_id=source_of(clip_id), split=None, captions=(row["caption"],)
        )


def _read_training_videos(file: AnnotationFile) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    if is_split(file) and "test" in file.path.stem.lower():
        raise ValueError(
            f"{file.path} is VGGSound's test list by its name, where clips that it trains on are "
            "to be left out; give train.csv, or vggsound.csv, which names the split of each clip"
        )
    clips = read_whole(file) if is_whole(file) else read_split(file)
    for clip in clips:
        if clip.split in (None, "train"):
            yield _video(clip), None


def _video(clip: Clip) -> str:
    return clip.clip_id[:11]


def _is_vggsound(file: AnnotationFile) -> bool:
    return is_whole(file) or is_split(file)


AUDIOCAPS = Format(
    title="AudioCaps",
    clips=(
        upstream_form(IDS, text_key="caption"),
        ClipsForm(
            name="the official captions",
            fits=has_columns(*COLUMNS),
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(
        ListForm(
            name="VGGSound's training list",
            fits=_is_vggsound,
            read=_read_training_videos,
            key=_video,
            keeps=False,
        ),
        ids_form(IDS),
    ),
    rows_are_captions=True,
    captions_a_clip=5,
    advice=(
        "give upstream's descs_ret_*.json, or the official csv of the split, for the test with "
        "VGGSound's vggsound.csv or train.csv"
    ),
)
