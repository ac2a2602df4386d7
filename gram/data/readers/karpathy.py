"""Flickr30k and MS-COCO: pictures with 5 captions each, in Karpathy's splits.

Official: ``dataset_flickr30k.json`` and ``dataset_coco.json``, all splits in one file; COCO trains
on ``train`` and ``restval``. Upstream, and LAVIS for COCO: records with the picture's path.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from gram.data.readers.clip import Clip
from gram.data.readers.files import AnnotationFile, JsonFile, Record
from gram.data.readers.forms import (
    IMAGE_KEYS,
    ClipsForm,
    Format,
    Ids,
    ids_form,
    objects_of,
    upstream_form,
)
from gram.data.readers.values import ID_KEYS, need_name, read_texts


def source_of(path: str) -> str:
    """Give the name of a picture's file without folder and suffix.

    Example:
        >>> source_of("flickr30k-images/1007129816.jpg")
        '1007129816'
    """
    return PurePosixPath(path).stem


def _flickr_id(image: Record, where: str) -> str:
    return f"flickr30k-images/{need_name(image, where, keys=('filename',))}"


def _coco_id(image: Record, where: str) -> str:
    folder = need_name(image, where, keys=("filepath",))
    return f"{folder}/{need_name(image, where, keys=('filename',))}"


def _official(name: str, ids: Ids, id_of: Callable[[Record, str], str]) -> ClipsForm:
    """Describe Karpathy's file of one data set, which it names."""

    def fits(file: AnnotationFile) -> bool:
        return (
            isinstance(file, JsonFile)
            and isinstance(file.content, dict)
            and file.content.get("dataset") == name
            and isinstance(file.content.get("images"), list)
        )

    def read(file: AnnotationFile) -> Iterator[Clip]:
        assert isinstance(file, JsonFile)  # noqa: S101 - as tested above
        assert isinstance(file.content, dict)  # noqa: S101
        for where, image in objects_of(file.content["images"], file.path, what="image"):
            clip_id = ids.check(id_of(image, where), where)
            yield Clip(
                clip_id=clip_id,
                source_id=source_of(clip_id),
                split=need_name(image, where, keys=("split",)),
                captions=_sentences(image, where),
            )

    return ClipsForm(name="Karpathy's splits", fits=fits, read=read, is_official=True)


def _sentences(image: Record, where: str) -> tuple[str, ...]:
    sentences = image.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(one, dict) for one in sentences):
        raise ValueError(f"{where} has no list of sentences; fetch the file again")
    return read_texts([one.get("raw") for one in sentences], where, key="raw")


FLICKR_IDS = Ids(
    pattern=r"(flickr30k-images/)?\d+\.jpg",
    example="flickr30k-images/1007129816.jpg",
    source_of=source_of,
)
COCO_IDS = Ids(
    pattern=r"((train|val)2014/)?COCO_(train|val)2014_\d{12}(\.jpg)?",
    example="val2014/COCO_val2014_000000391895.jpg",
    source_of=source_of,
)

FLICKR30K = Format(
    title="Flickr30k",
    clips=(
        upstream_form(FLICKR_IDS, text_key="desc"),
        _official("flickr30k", FLICKR_IDS, _flickr_id),
    ),
    lists=(ids_form(FLICKR_IDS),),
    rows_are_captions=True,
    captions_a_clip=5,
    advice="give upstream's descs_ret_*.json, or Karpathy's dataset_flickr30k.json",
)

MSCOCO = Format(
    title="MS-COCO",
    clips=(
        upstream_form(COCO_IDS, text_key="desc"),
        upstream_form(COCO_IDS, text_key="caption", id_keys=(*IMAGE_KEYS, *ID_KEYS)),
        _official("coco", COCO_IDS, _coco_id),
    ),
    lists=(ids_form(COCO_IDS),),
    splits={"train": ("train", "restval")},
    rows_are_captions=True,
    captions_a_clip=5,
    advice=(
        "give upstream's descs_cap_*.json, Karpathy's dataset_coco.json or LAVIS' "
        "coco_karpathy_*.json of the split"
    ),
)
