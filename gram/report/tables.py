"""Tables of the report: what stands in their CSV files, as a reader sees it."""

import csv as csv_format
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gram.config import TableConfig
from gram.evaluation.results import BenchmarkScores
from gram.evaluation.table_notes import table_notes
from gram.evaluation.tables import ABSENT, DIRECTIONS, NAMES, published_notes

RECALL = re.compile(rf"({'|'.join(DIRECTIONS)})_(R@\d+)")
"""A column of a table that holds recalls: direction and cut-off."""

MARKS = {"inside": "inside", "above": "ours above", "below": "ours below"}
"""Where ours lies beside the paper's number, as a reader sees it."""

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recall of a table in percent, and whether it is the best that can be compared with it.

    Attributes:
        text: The recall.
        beside: Its 95 % interval, in brackets, or its spread over seeds.
        is_best: Whether it is the best.
    """

    text: str
    beside: str
    is_best: bool


@dataclass(frozen=True, kw_only=True)
class ShownLine:
    """One line of a table: texts, recalls, and the numbers of clips and queries."""

    names: tuple[str, ...]
    recalls: tuple[Cell, ...]
    counts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One recall beside those of others.

    Attributes:
        line: The line's label.
        recall: Direction and cut-off, as ``gram explain`` takes them.
        ours: Ours with its interval.
        paper: The paper's, or nothing.
        reruns: Those of others, each with who found it.
        difference: Ours less the paper's, in points.
        mark: A key of ``MARKS``, or nothing.
    """

    line: str
    recall: str
    ours: str
    paper: str
    reruns: tuple[str, ...]
    difference: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """One table of the report.

    Attributes:
        name: Its name, which its files have.
        title: Its heading.
        cutoffs: The recalls, ``R@1`` and so on, that stand in each direction.
        lines: Its lines.
        compared: Its recalls for which others have numbers.
        notes: What stands below.
    """

    name: str
    title: str
    cutoffs: tuple[str, ...]
    lines: tuple[ShownLine, ...]
    compared: tuple[Compared, ...]
    notes: tuple[str, ...]


def show_table(
    config: TableConfig, csv: Path, results: Mapping[tuple[str, str], BenchmarkScores]
) -> ShownTable:
    """Read a table as it was made; mark the best recalls among lines of one gallery.

    Args:
        config: Its title and note.
        csv: The table.
        results: The scores of all its lines.
    """
    with csv.open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv_format.DictReader(file))
    recalls = [name for name in rows[0] if RECALL.fullmatch(name)]
    best = _best_of_galleries(rows, recalls)
    lines = tuple(
        ShownLine(
            names=tuple(row[name] for name in NAMES),
            recalls=tuple(_cell(row, name, best) for name in recalls),
            counts=tuple(row[name] or ABSENT for name in ("gallery", "queries")),
        )
        for row in rows
    )
    compared = tuple(
        _compared(row, name) for row in rows for name in recalls if _is_known(row, name)
    )
    notes = table_notes(config, results=results)
    whos = [one.rpartition(" ")[0] for shown in compared for one in shown.reruns]
    notes += published_notes(whos) if compared else []
    return ShownTable(
        name=csv.stem,
        title=config.title,
        cutoffs=tuple(dict.fromkeys(name.rpartition("_")[2] for name in recalls)),
        lines=lines,
        compared=compared,
        notes=tuple(notes),
    )


def _best_of_galleries(
    rows: Sequence[Row], recalls: Sequence[str]
) -> dict[tuple[str, str, str], float]:
    """Give the best recall of each benchmark, gallery and column that several lines have."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        for name in recalls:
            if row[name]:
                values[row["benchmark"], row["gallery"], name].append(round(float(row[name]), 1))
    return {key: max(found) for key, found in values.items() if len(found) > 1}


def _cell(row: Row, name: str, best: Mapping[tuple[str, str, str], float]) -> Cell:
    if not row[name]:
        return Cell(text=ABSENT, beside="", is_best=False)
    value = round(float(row[name]), 1)
    return Cell(
        text=f"{value:.1f}",
        beside=_beside(row, name),
        is_best=best.get((row["benchmark"], row["gallery"], name)) == value,
    )


def _beside(row: Row, name: str) -> str:
    """Write the interval of a recall, or its spread where it is a mean over seeds."""
    if row[f"{name}_low"]:
        return f"({float(row[f'{name}_low']):.1f} to {float(row[f'{name}_high']):.1f})"
    spread = row.get(f"{name}_spread", "")
    return f"± {float(spread):.1f}" if spread else ""


def _is_known(row: Row, name: str) -> bool:
    return bool(row[f"{name}_paper"] or row[f"{name}_reruns"])


def _compared(row: Row, name: str) -> Compared:
    direction, cutoff = name.rsplit("_", 1)
    difference = row[f"{name}_difference"]
    return Compared(
        line=row["label"],
        recall=f"{DIRECTIONS[direction]} {cutoff}",
        ours=f"{float(row[name]):.1f} {_beside(row, name)}".strip(),
        paper=row[f"{name}_paper"],
        reruns=tuple(one for one in row[f"{name}_reruns"].split("; ") if one),
        difference=f"{float(difference):+.1f}" if difference else "",
        mark=row[f"{name}_mark"],
    )
