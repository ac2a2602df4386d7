"""Published numbers that ours stand beside: those of the paper, and of others who ran it again.

``config/paper_scores.csv`` holds them, one line a number, with its source and how sure it is.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

COLUMNS = ("reference", "direction", "metric", "percent", "who", "source", "confidence")
"""Columns of the file."""

PAPER = "paper"
"""Who printed the numbers that are compared with; all others are re-runs."""

DIRECTIONS = ("text_to_item", "item_to_text")

Mark = Literal["inside", "above", "below"]
"""Where ours lies: the paper's number is inside our interval, or ours is above or below it."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One number of others.

    Attributes:
        who: ``paper``, or who ran it again.
        percent: The number, in percent.
        source: Where it stands.
        confidence: ``seen-twice`` or ``seen-once``: in how many sources it was found.
    """

    who: str
    percent: float
    source: str
    confidence: str


References = Mapping[tuple[str, str, str], list[Published]]
"""Published numbers by name of the line, direction and metric (``R@1``)."""


def read_references(path: Path) -> References:
    """Read the published numbers.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, or a line is not of this form; names the line.
    """
    found: dict[tuple[str, str, str], list[Published]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"{path} has the columns {', '.join(reader.fieldnames or ()) or 'none'}; it needs "
                f"{', '.join(COLUMNS)}"
            )
        for row in reader:
            key = (row["reference"], row["direction"], row["metric"])
            found.setdefault(key, []).append(_published(row, path=path, line=reader.line_num))
    return found


def _published(row: Mapping[str, str], *, path: Path, line: int) -> Published:
    try:
        percent = float(row["percent"])
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100 or row["direction"] not in DIRECTIONS:
        raise ValueError(
            f"{path}, line {line}: percent is {row['percent']!r} and direction "
            f"{row['direction']!r}; give a number from 0 to 100, and {' or '.join(DIRECTIONS)}"
        )
    return Published(
        who=row["who"],
        percent=percent,
        source=row["source"],
        confidence=row["confidence"],
    )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One number of ours beside those of others.

    Attributes:
        paper: What the paper prints, in percent, if it prints it.
        reruns: What others found who ran it again, by who.
        difference: Ours less the paper's, in points, if the paper has it.
        mark: Whether the paper's number lies inside our interval, or where ours lies.
    """

    paper: float | None
    reruns: Mapping[str, float]
    difference: float | None
    mark: Mark | None

    @property
    def reruns_text(self) -> str:
        """The re-runs in one cell: the lowest and the highest, or the only one."""
        values = sorted(self.reruns.values())
        if not values:
            return ""
        low, high = f"{values[0]:.1f}", f"{values[-1]:.1f}"
        return low if low == high else f"{low} to {high}"


def compare(
    percent: float, *, interval: tuple[float, float] | None, published: list[Published]
) -> Comparison:
    """Set a number of ours beside those of others.

    Args:
        percent: Ours.
        interval: The 95 % interval of ours; None: ours is a mean over seeds, and has no mark.
        published: Theirs.

    Example:
        >>> theirs = [Published(who="paper", percent=54.8, source="", confidence="")]
        >>> compare(53.0, interval=(50.1, 56.2), published=theirs).mark
        'inside'
    """
    paper = next((one.percent for one in published if one.who == PAPER), None)
    reruns = {one.who: one.percent for one in published if one.who != PAPER}
    if paper is None:
        return Comparison(paper=None, reruns=reruns, difference=None, mark=None)
    difference = percent - paper
    if interval is None:
        return Comparison(paper=paper, reruns=reruns, difference=difference, mark=None)
    low, high = interval
    mark: Mark = "inside"
    if not low <= paper <= high:
        mark = "above" if percent > paper else "below"
    return Comparison(paper=paper, reruns=reruns, difference=difference, mark=mark)
