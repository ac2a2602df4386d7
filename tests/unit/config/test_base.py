from typing import Any

import pytest
from pydantic import ValidationError

from gram.config import (
    ExtractionConfig,
    LossConfig,
    Section,
    TrainingConfig,
    canonical_json,
    describe_problems,
    merged,
)


class Inner(Section):
    """A section within another one."""

    number: int = 3
    names: tuple[str, ...] = ("b", "a")


class Outer(Section):
    """A section with another one."""

    inner: Inner = Inner()
    rate: float = 1.0


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LossConfig().temperature = 1.0  # type: ignore[misc]


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValidationError, match=r"temprature\s+Extra inputs are not permitted"):
        LossConfig.model_validate({"temprature": 0.1})


def test_an_unknown_key_of_a_section_within_is_named_with_its_place() -> None:
    with pytest.raises(ValidationError, match=r"inner\.numer\s+Extra inputs are not permitted"):
        Outer.model_validate({"inner": {"numer": 1}})


def test_keys_are_sorted_on_every_level() -> None:
    expected = '{"a": 1, "z": {"inner": {"names": ["b", "a"], "number": 3}, "rate": 1.0}}'
    assert canonical_json({"z": Outer(), "a": 1}) == expected


def test_a_default_that_is_written_out_changes_nothing() -> None:
    written = Outer.model_validate({"rate": 1, "inner": {"names": ["b", "a"], "number": 3}})
    assert canonical_json({"outer": written}) == canonical_json({"outer": Outer()})


def test_a_number_may_be_written_in_any_form() -> None:
    forms = [LossConfig.model_validate({"temperature": value}) for value in (0.05, 5e-2, "5.0e-2")]
    assert len({canonical_json({"loss": form}) for form in forms}) == 1


def test_mappings_of_sections_are_taken() -> None:
    assert canonical_json({"of": {"b": Inner(), "a": None}}) == (
        '{"of": {"a": null, "b": {"names": ["b", "a"], "number": 3}}}'
    )


def test_sections_are_read_back_as_they_were() -> None:
    settings = ExtractionConfig(frames_per_clip=7)
    text = canonical_json({"extraction": settings})

    class Read(Section):
        extraction: ExtractionConfig

    assert Read.model_validate_json(text).extraction == settings


def test_other_values_are_refused() -> None:
    with pytest.raises(TypeError, match="settings hold sections and plain values, got set"):
        canonical_json({"splits": {"train"}})


def problems(given: object) -> str:
    with pytest.raises(ValidationError) as error:
        Outer.model_validate(given)
    return describe_problems(error.value)


def test_a_problem_is_its_place_and_its_message() -> None:
    given = {"inner": {"numer": 1}, "rate": "fast"}
    assert problems(given).splitlines() == [
        "inner.numer: there is no such setting; correct the name or take it out (all that there "
        "are: config/config.schema.json)",
        "rate: Input should be a valid number, unable to parse string as a number",
    ]


def test_a_problem_of_the_whole_has_no_place() -> None:
    assert problems([]) == "Input should be a valid dictionary or instance of Outer"


def test_a_check_of_ours_speaks_for_itself() -> None:
    with pytest.raises(ValidationError) as error:
        TrainingConfig(steps=1, epochs=1)
    assert describe_problems(error.value) == "give steps or epochs, one of them"


# --- merging ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({}, {}, {}),
    ],
)
def test_the_second_mapping_counts(
    base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]
) -> None:
    assert merged(base, over) == result


def test_merging_changes_neither() -> None:
    base, over = {"a": {"b": 1}}, {"a": {"c": 2}}
    merged(base, over)["a"]["d"] = 3
    assert (base, over) == ({"a": {"b": 1}}, {"a": {"c": 2}})
