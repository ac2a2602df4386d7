"""The table "What runs again" of ARCHITECTURE.md, and the cases that test it, are the same."""

import re
from pathlib import Path

import pytest

from gram.stages import VERSIONS
from tests.workflow.paper_cases import CASES, Case

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## What runs again")[1]
ROWS = re.findall(r"^\| (?!you change|---)(.+?) \| (.+) \|$", SECTION.split("\n## ")[0], re.M)


def rules_in(text: str) -> set[str]:
    """Name the rules that a text speaks of."""
    return set(re.findall(r"\w+", text)) & VERSIONS.keys()


def test_the_table_was_found() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize("row", [change for change, _ in ROWS])
def test_a_line_of_the_table_has_a_case(row: str) -> None:
    assert [case for case in CASES if row.startswith(case.row)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_of_one_line_of_the_table(case: Case) -> None:
    assert sum(change.startswith(case.row) for change, _ in ROWS) == 1


@pytest.mark.parametrize(("row", "reruns"), ROWS, ids=[change for change, _ in ROWS])
def test_every_rule_that_a_line_names_runs_again_in_one_of_its_cases(row: str, reruns: str) -> None:
    found = set().union(*(case.jobs for case in CASES if row.startswith(case.row)))
    assert rules_in(reruns) - found == set()
