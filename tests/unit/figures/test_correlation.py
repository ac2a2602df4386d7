"""Pearson's coefficient against numpy's and against what is known of real checkpoints."""

import csv
from pathlib import Path

import numpy as np
import pytest

from gram.figures.correlation import correlate

KNOWN = Path(__file__).parents[4] / "shared" / "facts" / "volume_vs_recall.csv"


def test_it_is_that_of_numpy() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 12))
    assert correlate(x, y).r == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_its_interval_holds_it() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 12))
    found = correlate(x, y)
    assert found.r is not None
    assert found.interval is not None
    assert found.interval[0] < found.r < found.interval[1]


def test_a_line_is_certain() -> None:
    x = np.arange(6.0)
    found = correlate(x, 2 * x)
    assert found.text == "r = 1.00 (1.00 to 1.00), 6 points"


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ([1.0], [2.0], "no r of 1 point"),
        ([1.0, 2.0], [2.0, 3.0], "no r of 2 points"),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0], "no r of 4 points"),
        ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0], "r = 0.50, 3 points: too few for an interval"),
    ],
    ids=["one", "two", "constant", "three"],
)
def test_too_little_is_told(x: list[float], y: list[float], text: str) -> None:
    assert correlate(np.array(x), np.array(y)).text == text


def test_one_point_may_carry_the_whole_coefficient() -> None:
    """Of a cloud and one point far away r is large, and its interval says what it hangs on."""
    x, y = np.random.default_rng(3).normal(size=(2, 15))
    far_x, far_y = np.append(x, 20.0), np.append(y, 20.0)
    with_it, without = correlate(far_x, far_y), correlate(x, y)
    assert with_it.r is not None
    assert without.r is not None
    assert with_it.interval is not None
    assert with_it.r > 0.9 > without.r
    assert with_it.interval[0] < 0.5


@pytest.mark.skipif(not KNOWN.is_file(), reason="the released checkpoints' facts are not here")
def test_the_released_checkpoints_give_the_known_coefficient() -> None:
    with KNOWN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    x, y = (
        np.array([float(row[column]) for row in rows])
        for column in ("1-matched_vol_TVAS", "t2v_R1_vol_TVAS")
    )
    found = correlate(x, y)
    assert (found.points, found.r) == (30, pytest.approx(0.13, abs=0.006))
    assert found.interval is not None
    assert found.interval[0] < 0 < found.interval[1]
