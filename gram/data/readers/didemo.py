"""DiDeMo: paragraphs of all descriptions of a video. Annotators saw the first 30 s.

Official: ``{train,val,test}_data.json``, one row a description; a video may be written with several
suffixes or none. Upstream: one record a video, whose paragraph joins the descriptions in the order
of the moment that most annotators chose.
"""

from collections import Counter
from collections.abc import Iterator

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, Record
from gram.data.readers.forms import (
    ClipsForm,
    Format,
    Ids,
    ListForm,
    first_record,
    ids_form,
    records_of,
    upstream_form,
)
from gram.data.readers.values import keys_of, need_name, read_texts

SEEN_SECONDS = 30.0
"""What annotators saw of each video: six segments of 5 s."""

IDS = Ids(pattern=r"\d+@N\d+_\d+_\w+", example="26292851@N04_4253489686_265c3c8051")


CORRUPTED = {
    "18126407@N00_2819653811_28523093f2",
    "66919018@N00_2484685542_ab0a67e5f2",
    "74989579@N00_2885371919_f3b13a9608",
}
"""Training videos that the published code's list ``corrupted`` names."""


def without_extension(name: str) -> str:
    """Take all behind the last dot off the name of a video.

    Example:
        >>> without_extension("10052357@N03_7585070382_5762149bfc.")
        '10052357@N03_7585070382_5762149bfc'
    """
    return name.rpartition(".")[0] or name


def chosen_moment(times: object, where: str) -> tuple[int, int]:
    """Give the first and last segment that most annotators chose; of a tie, what comes first.

    Raises:
        ValueError: If there are no such pairs.
    """
    pairs = times if isinstance(times, list) else []
    moments = [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    if not moments or not all(isinstance(one, int) for moment in moments for one in moment):
        raise ValueError(
            f"{where}: times is {times!r}, where pairs of segments are needed; fetch the file again"
        )
    return Counter(moments).most_common(1)[0][0]


def _is_official(file: AnnotationFile) -> bool:
    record = first_record(file)
    return record is not None and {"description", "video", "times"} <= set(record)


def _read_official(file: AnnotationFile) -> Iterator[Clip]:
    told: dict[str, list[tuple[tuple[int, int], str]]] = {}
    for where, record in records_of(file):
        video = IDS.check(without_extension(need_name(record, where, keys=("video",))), where)
        moment = chosen_moment(record.get("times"), where)
        told.setdefault(video, []).append((moment, _description(record, where)))
    for video, descriptions in told.items():
        in_order = sorted(descriptions, key=lambda told: told[0])
        yield Clip(
            clip_id=video,
            source_id=video,
            split=None,
            end_seconds=SEEN_SECONDS,
            captions=(" ".join(text for _, text in in_order),),
        )


def _description(record: Record, where: str) -> str:
    if "description" not in record:
        raise ValueError(
            f"{where} has no description; its keys are {keys_of(record)}; fetch the file again"
        )
    return " ".join(read_texts(record["description"], where, key="description"))


LIST = ids_form(IDS, id_of=without_extension)


def _is_corrupted(file: AnnotationFile) -> bool:
    return LIST.fits(file) and {name for name, _ in LIST.read(file)} <= CORRUPTED


def _refuse(file: AnnotationFile) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    raise ValueError(
        f"{file.path} is the published code's list of {len(CORRUPTED)} videos that were corrupted, "
        "not of those that count; leave it out: files that are damaged are found when they are read"
    )


DIDEMO = Format(
    title="DiDeMo",
    clips=(
        upstream_form(IDS, text_key="desc", end_seconds=SEEN_SECONDS),
        ClipsForm(
            name="the official descriptions",
            fits=_is_official,
            read=_read_official,
            is_official=True,
        ),
    ),
    lists=(
        ListForm(
            name="the published code's list of corrupted videos", fits=_is_corrupted, read=_refuse
        ),
        LIST,
    ),
    advice="give upstream's descs_ret_*.json, or the official *_data.json of the split",
)
