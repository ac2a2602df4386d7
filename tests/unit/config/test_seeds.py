"""Runs with seeds become one run a seed, and lines of tables show their mean."""

from typing import Any

import pytest
from pydantic import ValidationError

from gram.config import Config
from gram.jobs import clip_uses
from tests.unit.config.small import config


def seeded(changes: dict[str, Any] | None = None) -> Config:
    return config({"runs": {"one": {"seeds": [0, 4], **(changes or {})}}})


def test_a_run_with_seeds_becomes_one_a_seed() -> None:
    runs = seeded({"loss": {"kind": "cosine"}}).runs
    assert {name: (run.seed, run.seeds, run.loss.kind) for name, run in runs.items()} == {
        "one_seed0": (0, None, "cosine"),
        "one_seed4": (4, None, "cosine"),
    }


def test_a_line_that_names_it_shows_all_of_them() -> None:
    (row,) = seeded().tables["main"].rows
    assert (row.run, row.runs) == ("one", ("one_seed0", "one_seed4"))


def test_a_line_of_one_run_shows_that_run() -> None:
    (row,) = config().tables["main"].rows
    assert row.runs == ("one",)


def test_seeds_of_the_defaults_are_those_of_every_run() -> None:
    whole = config({"defaults": {"seeds": [1, 2]}})
    assert list(whole.runs) == ["one_seed1", "one_seed2"]


def test_a_run_starts_from_the_run_of_its_own_seed() -> None:
    runs = config(
        {"runs": {"one": {"seeds": [0, 4], "start": "first"}, "first": {"seeds": [4, 0]}}}
    )
    assert runs.runs["one_seed4"].start == "first_seed4"


def test_runs_of_all_seeds_may_start_from_one_run() -> None:
    runs = config({"runs": {"one": {"seeds": [0, 4], "start": "first"}, "first": {}}}).runs
    assert {runs[name].start for name in ("one_seed0", "one_seed4")} == {"first"}


def test_the_report_shows_one_of_them_in_detail() -> None:
    assert seeded().showcase.runs == ("one_seed0",)


def test_the_clips_of_all_of_them_are_accounted_for() -> None:
    assert {use.run for use in clip_uses(seeded())} == {"one_seed0", "one_seed4"}


def test_settings_that_were_read_can_be_read_again() -> None:
    whole = seeded()
    assert Config.model_validate(whole.model_dump()) == whole


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"one": {"seeds": [0, 0]}}, r"a seed stands twice in \[0, 0\]; name each once"),
        ({"one": {"seeds": []}}, "at least 1 item"),
        ({"one": {"seeds": [-1]}}, "greater than or equal to 0"),
        ({"one": {"seeds": 3}}, "valid tuple"),
        (
            {"one": {"seeds": [0]}, "one_seed0": {}},
            "has the seed 0, so that a run 'one_seed0' is made, which is there already; rename",
        ),
        (
            {"one": {"seeds": [0, 1], "start": "first"}, "first": {"seeds": [0]}},
            "has the seed 1 and starts from 'first', which lacks it: that one has first_seed0",
        ),
        (
            {"one": {"start": "first"}, "first": {"seeds": [0]}},
            "starts from 'first', which has seeds; name one of first_seed0, or give runs.one seeds",
        ),
    ],
    ids=["twice", "none", "negative", "no list", "taken", "other seeds", "start with seeds"],
)
def test_seeds_that_cannot_be_used_are_told(runs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config({"runs": runs})
