"""All that the published code gave of its losses: one test a recorded tensor.

Cases of several ranks are computed by as many processes that talk to each other. Wrong partners
are drawn by torch's generator, seeded as the recording was: with its seed, plus 100 times the
number of vectors, plus the rank; what follows from them takes the recorded ones.
"""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from tests.golden.published import CASE, Tensors, case_of, given_of, is_same, loss_parts
from tests.golden.recording import facts_of
from tests.ranks import run_ranks

NAMES = [name for name in facts_of("02_losses")["tensors"] if case_of(name) is not None]


@pytest.fixture(scope="session")
def given(golden: Callable[[str], Any]) -> dict[str, Any]:
    return given_of(golden)


@pytest.fixture(scope="session")
def computed(given: dict[str, Any]) -> Tensors:
    """Give our numbers of all cases of all ranks."""
    parts: Tensors = {}
    for ranks in sorted({int(CASE.match(name)[1]) for name in NAMES}):  # type: ignore[index]
        cases = [case for case in map(case_of, NAMES) if case is not None]
        keys = sorted({case.name for case in cases if (case.ranks, case.rank) == (ranks, 0)})
        alone = ranks == 1
        for one in (
            [all_parts(given, keys)] if alone else run_ranks(all_parts, given, keys, ranks=ranks)
        ):
            parts |= one
    return parts


def all_parts(given: dict[str, Any], keys: list[str]) -> Tensors:
    parts: Tensors = {}
    for key in keys:
        parts |= loss_parts(given, key)
    return parts


@pytest.mark.parametrize("name", NAMES)
def test_is_what_the_published_code_gave(
    given: dict[str, Any], computed: Tensors, name: str
) -> None:
    expected: Tensor = given["tensors"][name]
    assert is_same(computed[name], expected, name), (computed[name], expected)


def test_the_recording_holds_one_rank_and_two(given: dict[str, Any]) -> None:
    assert {case.ranks for case in map(case_of, NAMES) if case is not None} == {1, 2}
