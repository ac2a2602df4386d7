"""Runs whose pretraining starts from the weights of others."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.config.small import config


def test_the_lineage_of_a_run_ends_with_the_one_that_starts_at_random() -> None:
    overlay = {"runs": {"two": {"start": "one"}, "three": {"start": "two"}}}
    assert config(overlay).lineage("three") == ("three", "two", "one")


def test_a_run_without_a_start_has_itself_as_lineage() -> None:
    assert config().lineage("one") == ("one",)


def test_a_start_that_is_no_run_is_named() -> None:
    with pytest.raises(ValidationError, match=r"runs\.two\.start names the run 'zero'.*found: one"):
        config({"runs": {"two": {"start": "zero"}}})


def test_runs_do_not_start_from_each_other() -> None:
    overlay = {"runs": {"one": {"start": "two"}, "two": {"start": "one"}}}
    with pytest.raises(ValidationError, match="runs start from each other: one from two from one"):
        config(overlay)


@pytest.mark.parametrize(
    ("section", "part", "size"),
    [
        ("model", "embedding_width", 16),
        ("model", "text", {"depth": 3}),
        ("inputs", "train_frames", 2),
        ("inputs", "image_pixels", 112),
    ],
    ids=["width", "encoder", "frames", "pixels"],
)
def test_weights_of_other_shapes_are_no_start(section: str, part: str, size: object) -> None:
    overlay = {"runs": {"two": {"start": "one", section: {part: size}}}}
    with pytest.raises(
        ValidationError, match=rf"runs\.two starts from 'one', whose {section}\.{part} is another"
    ):
        config(overlay)


@pytest.mark.parametrize(
    "model",
    [{"text": {"dropout": 0.3}}, {"vision": {"drop_path": 0}}],
    ids=str,
)
def test_what_changes_no_shape_may_differ_from_the_start(model: dict[str, Any]) -> None:
    overlay = {"runs": {"two": {"start": "one", "model": model}}}
    assert config(overlay).runs["two"].start == "one"


def test_a_vocabulary_beside_a_start_is_refused() -> None:
    overlay = {"runs": {"two": {"start": "one", "inputs": {"vocabulary": "vocab.txt"}}}}
    with pytest.raises(ValidationError, match=r"names inputs\.vocabulary 'vocab\.txt' too"):
        config(overlay)


def test_other_modalities_may_start_from_a_run() -> None:
    overlay = {"runs": {"two": {"start": "one", "model": {"modalities": ["video"]}}}}
    assert config(overlay).runs["two"].start == "one"


def test_a_start_needs_a_data_set_to_be_trained_on() -> None:
    rows = [{"run": "two", "benchmark": "toys"}]
    overlay = {
        "runs": {"one": {"pretrain_dataset": None}, "two": {"start": "one"}},
        "tables": {"main": {"rows": rows}},
    }
    with pytest.raises(ValidationError, match=r"runs\.one has no pretrain_dataset"):
        config(overlay)
