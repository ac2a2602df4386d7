import math
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gram.config import (
    Dataset,
    ExtractionConfig,
    FolderDataset,
    GeneratedDataset,
    PicturesConfig,
)
from gram.config.data import COMBINATIONS
from gram.data.generated_world import COLORS, PITCHES, PLACES, TOPICS, plan_clips

ADAPTER: TypeAdapter[FolderDataset | GeneratedDataset] = TypeAdapter(Dataset)


def test_the_kind_chooses_a_folder() -> None:
    given = {"kind": "folder", "media": "data/a", "annotations": {"train": "data/a.json"}}
    assert isinstance(ADAPTER.validate_python(given), FolderDataset)


def test_the_kind_chooses_generated_clips() -> None:
    assert isinstance(
        ADAPTER.validate_python({"kind": "generated", "clips": {"train": 3}}), GeneratedDataset
    )


def test_another_kind_is_named_with_those_that_are_there() -> None:
    with pytest.raises(
        ValidationError, match=r"Input tag 'url' .* expected tags: 'folder', 'generated'"
    ):
        ADAPTER.validate_python({"kind": "url"})


def test_a_data_set_needs_a_kind() -> None:
    with pytest.raises(ValidationError, match="Unable to extract tag using discriminator 'kind'"):
        ADAPTER.validate_python({"media": "data/a", "annotations": {"train": "data/a.json"}})


@pytest.mark.parametrize("name", ["Train", "train-1", "train/1", "", "träin", "train\n"])
def test_a_split_is_named_in_lower_case_digits_and_underscores(name: str) -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        GeneratedDataset(kind="generated", clips={name: 1})


@pytest.mark.parametrize("chunks", [0, 100_000])
def test_chunk_numbers_have_five_digits_at_most(chunks: int) -> None:
    with pytest.raises(ValidationError, match="chunks"):
        GeneratedDataset(kind="generated", clips={"train": 1}, chunks=chunks)


@pytest.mark.parametrize(
    "values",
    [
        {"frames_per_clip": 0},
        {"short_side": 8},
        {"jpeg_quality": 101},
        {"min_frames": 0},
        {"min_bins": 1.1},
        {"max_seconds": 0},
        {"timeout_seconds": -1},
    ],
    ids=lambda values: "_".join(values),
)
def test_extraction_is_in_range(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        ExtractionConfig.model_validate(values)


def folder(annotations: Mapping[str, object], **settings: str) -> FolderDataset:
    given = {"kind": "folder", "media": "data/a", "annotations": annotations, **settings}
    return FolderDataset.model_validate(given)


def test_a_split_has_one_annotation_file_or_several() -> None:
    annotations = folder({"test": ["a.json", "b.txt"], "train": "c.json"}).annotations
    assert annotations == {"test": ("a.json", "b.txt"), "train": ("c.json",)}


@pytest.mark.parametrize("files", ["", [], [""], {"a": 1}, [3]])
def test_annotation_files_are_names(files: object) -> None:
    with pytest.raises(ValidationError, match=r"annotations\.test"):
        folder({"test": files})


def test_annotations_are_of_own_clips_unless_a_data_set_is_named() -> None:
    assert folder({"test": "a.json"}).format == "own"
    assert folder({"test": "a.json"}, format="vatex").format == "vatex"


def test_a_data_set_that_cannot_be_read_is_named_with_those_that_can() -> None:
    with pytest.raises(ValidationError, match="'msrvtt'"):
        folder({"test": "a.json"}, format="msvd")


def test_the_order_of_the_splits_does_not_matter() -> None:
    one, other = folder({"train": "a", "test": "b"}), folder({"test": "b", "train": "a"})
    assert one.model_dump_json() == other.model_dump_json()


def test_a_folder_is_said_to_be_one() -> None:
    with pytest.raises(ValidationError, match="kind"):
        FolderDataset.model_validate({"media": "data/a", "annotations": {"train": "data/a.json"}})


def test_more_clips_than_can_be_different_are_refused() -> None:
    message = r"clips asks for 626 generated clips over all splits, but there are only 625 diff"
    with pytest.raises(ValidationError, match=message):
        GeneratedDataset(kind="generated", clips={"train": 600, "test": 26})


def test_as_many_clips_as_can_be_different_are_drawn() -> None:
    dataset = GeneratedDataset(kind="generated", clips={"train": COMBINATIONS})
    assert len(plan_clips(dataset)) == COMBINATIONS


def test_there_are_as_many_different_clips_as_the_factors_give() -> None:
    factors = (COLORS, PITCHES, TOPICS, PLACES)
    assert math.prod(len(values) for values in factors) == COMBINATIONS


def test_what_depth_reads_is_a_part_of_the_extraction() -> None:
    extraction = ExtractionConfig().model_dump()
    assert PicturesConfig().model_dump().items() <= extraction.items()
