"""Cells of the CSV of a table: what a reader writes to name one, and which it is."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gram.evaluation.tables import BESIDE, COUNTS, DIRECTIONS

Row = Mapping[str, str]

_RECALL = re.compile(rf"({'|'.join(DIRECTIONS)})_(R@\d+)(?:_({'|'.join(BESIDE)}))?")

MEANINGS = {
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "spread": "standard deviation over the seeds, in points",
    "paper": "what the paper prints",
    "reruns": "what others found who ran it again",
    "difference": "ours less the paper's, in points",
    "mark": "inside: the paper's number lies in our interval; above, below: ours does not reach it",
    "gallery": "clips among which each text was searched",
    "queries": "texts, or clips, that were searched for",
    "trained_on": "clips of the gallery that training saw",
}
"""What a column beside the recalls holds."""


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One cell.

    Attributes:
        row: Its line: column -> text.
        column: Its column in the CSV.
        value: Its text; empty: nothing was there to fill it.
        recall: The column of the recall that it is or stands beside; none of another column.
        direction: Which way that recall searches.
        metric: Its cut-off, ``R@1``.
        beside: What of it the cell holds, one of ``BESIDE``; none: the recall itself.
    """

    row: Row
    column: str
    value: str
    recall: str | None
    direction: str
    metric: str
    beside: str | None

    @property
    def meaning(self) -> str:
        """What the column holds, in words."""
        if self.recall is None:
            return MEANINGS.get(self.column, f"the line's {self.column}")
        of = f"{self.metric} {DIRECTIONS[self.direction]}"
        return of if self.beside is None else f"{MEANINGS[self.beside]}; of {of}"


def read_rows(table: Path) -> list[Row]:
    """Read the lines of a table from its CSV; of its other forms, from the CSV beside them.

    Raises:
        ValueError: If there is no such table, or it is something else.
    """
    path = table.with_suffix(".csv") if table.suffix in {".md", ".tex"} else table
    if not path.is_file():
        raise ValueError(
            f"no table at {path}; give results/tables/NAME.csv, and run `snakemake NAME` if it is "
            "not made yet"
        )
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    if not rows or not {"label", "runs", "reference", "benchmark", "score"} <= rows[0].keys():
        raise ValueError(
            f"{path} is no table of this project, or of an older one; give "
            "results/tables/NAME.csv, made anew by `snakemake NAME`"
        )
    return rows


def find_cell(rows: Sequence[Row], cell: str) -> TableCell:
    """Find the cell that a reader names.

    Args:
        rows: The lines of the table.
        cell: Line and column, split at the last comma. The line is its label, or its number from
            1 on; the column is that of the CSV (``text_to_item_R@1``, ``gallery``) or as a reader
            sees it (``T→item R@1``, ``T→item R@1 paper``).

    Raises:
        ValueError: If no line, or several, or no column is meant.
    """
    line, comma, column = cell.rpartition(",")
    row = _line(rows, line.strip()) if comma else None
    if row is None:
        labels = "; ".join(f"{number} {one['label']}" for number, one in enumerate(rows, start=1))
        raise ValueError(
            f"the cell {cell!r} names no line of the table, or several; write LINE,COLUMN, where "
            f"LINE is the number or the label of one of: {labels}"
        )
    columns = {_as_shown(name): name for name in row} | {name: name for name in row}
    name = columns.get(column.strip())
    if name is None:
        matches = filter(None, map(_RECALL.fullmatch, row))
        recalls = ", ".join(one[0] for one in matches if one[3] is None)
        beside = ", ".join(f"_{what}" for what in BESIDE)
        raise ValueError(
            f"the table has no column {column.strip()!r}; its recalls are {recalls}, each also "
            f"with {beside}; its counts are {', '.join(COUNTS)}"
        )
    found = _RECALL.fullmatch(name)
    return TableCell(
        row=row,
        column=name,
        value=row[name],
        recall=f"{found[1]}_{found[2]}" if found else None,
        direction=found[1] if found else "",
        metric=found[2] if found else "",
        beside=found[3] if found else None,
    )


def _line(rows: Sequence[Row], name: str) -> Row | None:
    labelled = [row for row in rows if row["label"] == name]
    if not labelled and name.isdecimal() and 1 <= int(name) <= len(rows):
        return rows[int(name) - 1]
    return labelled[0] if len(labelled) == 1 else None


def _as_shown(column: str) -> str:
    """Write a column as a reader sees it: ``T→item R@1 paper``."""
    found = _RECALL.fullmatch(column)
    if found is None:
        return column
    return " ".join(filter(None, (DIRECTIONS[found[1]], found[2], found[3])))
