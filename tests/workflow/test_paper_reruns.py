"""What runs again in a tree where the paper's own settings have run: the table, line by line."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.workflow.paper_cases import CASES, STATES, Case, settings_of
from tests.workflow.paper_runs import finish, planned

Plans = Callable[[Case], dict[str, int]]


@pytest.fixture(scope="session")
def finished(
    copy_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Give a finished tree for every state; cases do not change them."""
    folder = tmp_path_factory.mktemp("finished")
    return {name: finish(folder / name, copy_checkout, state) for name, state in STATES.items()}


@pytest.fixture(scope="module")
def plans(finished: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plans]:
    """Give a function that gives the plan of a case; two are made at a time."""
    with ThreadPoolExecutor(max_workers=2) as threads:
        going = {
            case.name: threads.submit(
                _plan, case, finished[case.state], tmp_path_factory.mktemp("changed")
            )
            for case in CASES
        }
        yield lambda case: going[case.name].result()


def _plan(case: Case, tree: Path, folder: Path) -> dict[str, int]:
    if case.change is not None:
        tree = shutil.copytree(tree, folder / "tree", symlinks=True)
        case.change(tree)
    return planned(tree, case.targets, *case.arguments, overlay=settings_of(case))


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("state", list(STATES))
def test_nothing_runs_again_where_nothing_changed(state: str, finished: dict[str, Path]) -> None:
    done = STATES[state]
    assert planned(finished[state], done.targets, overlay=done.overlay) == {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_reruns_what_its_line_of_the_table_says(case: Case, plans: Plans) -> None:
    assert plans(case) == case.jobs
