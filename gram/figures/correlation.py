"""Pearson's coefficient of a few points, and how sure it is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEWEST = 4
"""Points from which on an interval is given: of three, most resamples are two points or one."""

RESAMPLES = 10_000


class Correlation(NamedTuple):
    """How two numbers of a few points go together.

    Attributes:
        r: Pearson's coefficient; none of fewer than 3 points, or where one number is constant.
        interval: Its 95 % interval, points drawn anew; none of fewer than ``FEWEST`` points.
        points: Number of points.
    """

    r: float | None
    interval: tuple[float, float] | None
    points: int

    @property
    def text(self) -> str:
        """The coefficient as a reader sees it."""
        if self.r is None:
            return f"no r of {self.points} {'point' if self.points == 1 else 'points'}"
        told = f"r = {self.r:.2f}"
        if self.interval is None:
            return f"{told}, {self.points} points: too few for an interval"
        low, high = self.interval
        return f"{told} ({low:.2f} to {high:.2f}), {self.points} points"


def correlate(first: NDArray[np.float64], second: NDArray[np.float64]) -> Correlation:
    """Give Pearson's coefficient with its bootstrap interval.

    Resamples in which one number is constant have no coefficient and are passed over.

    Args:
        first: One number of each point.
        second: The other one.

    Example:
        >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).r
        0.5
    """
    points = len(first)
    if points < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation(None, None, points)
    r = round(float(np.corrcoef(first, second)[0, 1]), 12)
    if points < FEWEST:
        return Correlation(r, None, points)
    drawn = np.random.default_rng(0).integers(0, points, (RESAMPLES, points))
    x, y = first[drawn], second[drawn]
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    has_r = size > 1e-12
    found = (x * y).sum(axis=1)[has_r] / size[has_r]
    low, high = np.quantile(found, [0.025, 0.975]).tolist()
    return Correlation(r, (low, high), points)
