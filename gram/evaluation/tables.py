"""Scores to one table, as CSV, Markdown and LaTeX.

Recalls are percentages. The CSV holds numbers and plain names, for programs: beside each recall its
95 % interval, or its spread over seeds, and for lines that name a reference what the paper and
others found. The other two are for readers: their cells are escaped, and lines below the table say
what the numbers can mean.
"""

import csv as csv_format
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from gram.config import TableConfig, TableRow
from gram.evaluation.references import Comparison, Published, References, compare
from gram.evaluation.results import BenchmarkScores
from gram.evaluation.table_notes import (
    index_results,
    results_of,
    scores_of,
    table_notes,
    table_warnings,
)
from gram.evaluation.table_text import Grid, as_latex, as_markdown
from gram.files import write_text
from gram.tracking import Tracker

log = logging.getLogger(__name__)

NAMES = ("label", "run", "benchmark", "score", "modalities")
"""The columns of a table that say what was ranked by what."""

COUNTS = ("gallery", "queries", "trained_on")
"""The columns of a table that count clips, queries, and clips that training saw."""

DIRECTIONS = {"text_to_item": "T→item", "item_to_text": "item→T"}
"""Which way is searched: name in the CSV, and as a reader sees it."""

RUNS = "runs"
"""The column of the CSV that names the runs of a line: one, or one a seed, with spaces between."""

REFERENCE = "reference"
"""The column that names the published numbers that a line stands beside; empty: none."""

BESIDE = ("low", "high", "spread", "paper", "reruns", "difference", "mark")
"""What stands behind a recall in the CSV: ``text_to_item_R@1_low`` and so on."""

ABSENT = "-"
"""What a cell shows for which there are no scores."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """One recall of a line.

    Attributes:
        percent: Recall in percent; of several seeds, the mean.
        interval: Its 95 % interval over clips; none of several seeds.
        spread: Standard deviation over the seeds, in points; none of one run.
        comparison: What others found.
    """

    percent: float
    interval: tuple[float, float] | None
    spread: float | None
    comparison: Comparison

    @property
    def text(self) -> str:
        """The recall with its interval or its spread."""
        if self.interval is None:
            return f"{self.percent:.1f} ± {self.spread or 0.0:.1f}"
        low, high = self.interval
        return f"{self.percent:.1f} ({low:.1f} to {high:.1f})"


@dataclass(frozen=True, kw_only=True)
class TableLine:
    """One line of a table.

    Attributes:
        names: Text of each column of ``NAMES``.
        runs: The runs that it shows.
        reference: Name of the published numbers beside it, or nothing.
        recalls: By direction and ``R@K``, in the order of the columns; none where the scores of
            the line are missing.
        counts: Value of each column of ``COUNTS``; none where the scores are missing.
    """

    names: tuple[str, ...]
    runs: tuple[str, ...]
    reference: str
    recalls: Mapping[tuple[str, str], Recall]
    counts: tuple[int, ...] | None


def make_table(
    table: TableConfig,
    *,
    scores: Sequence[Path],
    references: References,
    csv: Path,
    tracker: Tracker,
    is_partial: bool = False,
) -> None:
    """Write one table in three forms, with the cut-offs K that all of its lines have.

    Args:
        table: Title, lines and note.
        scores: The scores files of all that the table names.
        references: Published numbers.
        csv: The table for programs. Beside it, with another suffix, stand the table with its notes
            as Markdown and as LaTeX (package booktabs; its name becomes the label).
        tracker: Takes the three files.
        is_partial: Whether lines without scores are kept, and say what is missing.

    Raises:
        ValueError: If a line's scores or its score are not there, unless the table is partial; if
            none is, if no cut-off is in all lines, or if a reference is not known.
    """
    results = index_results(scores)
    rows = [
        row
        for row in table.rows
        if not is_partial or all((run, row.benchmark) in results for run in row.runs)
    ]
    missing = [row for row in table.rows if row not in rows]
    if not rows:
        how = _how_to_make(missing, results=results)
        raise ValueError(f"no line of the table {table.title!r} has scores yet; {how}")
    there = table.model_copy(update={"rows": tuple(rows)})
    recall_at = _common_cutoffs(there, results=results)
    lines = [
        _missing_line(row)
        if row in missing
        else _line(row, results=results, recall_at=recall_at, references=references)
        for row in table.rows
    ]
    notes = table_warnings(there, results=results) + table_notes(there, results=results)
    notes += [f"Missing: {_how_to_make(missing, results=results)}"] if missing else []
    grids = [_grid(lines, recall_at=recall_at), *_published_grid(lines)]
    whos = _whos(lines)
    notes += [] if whos is None else published_notes(whos)
    write_text(csv, _as_csv(lines, recall_at=recall_at))
    markdown, latex = csv.with_suffix(".md"), csv.with_suffix(".tex")
    write_text(markdown, as_markdown(table.title, grids, notes=notes))
    label = f"tab:{latex.stem}"
    write_text(latex, as_latex(table.title, grids, notes=notes, label=label))
    for path in (csv, markdown, latex):
        tracker.artifact(path)
    log.info("%s: %d lines", csv, len(lines))


def _how_to_make(
    missing: Sequence[TableRow], *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> str:
    files = dict.fromkeys(
        f"results/scores/{run}/{row.benchmark}.json"
        for row in missing
        for run in row.runs
        if (run, row.benchmark) not in results
    )
    return f"snakemake {' '.join(files)} makes what it lacks."


def _common_cutoffs(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[int]:
    """Find the cut-offs K that every line has, in order."""
    of_lines = {
        result.run: {
            int(name.removeprefix("R@")) for name in score.text_to_item if name.startswith("R@")
        }
        for row in table.rows
        for result, score in zip(
            results_of(row, results=results), scores_of(row, results=results), strict=True
        )
    }
    common = set.intersection(*of_lines.values())
    if not common:
        found = "; ".join(f"{run}: {sorted(cutoffs)}" for run, cutoffs in of_lines.items())
        raise ValueError(
            f"the lines of the table {table.title!r} have no cut-off K in common ({found}); "
            "give their runs one in evaluation.recall_at"
        )
    return sorted(common)


def _line(
    row: TableRow,
    *,
    results: Mapping[tuple[str, str], BenchmarkScores],
    recall_at: Sequence[int],
    references: References,
) -> TableLine:
    of_runs, scores = results_of(row, results=results), scores_of(row, results=results)
    if row.reference is not None and row.reference not in {name for name, _, _ in references}:
        known = sorted({name for name, _, _ in references})
        raise ValueError(
            f"a line of the table names the reference {row.reference!r}, which is not among the "
            f"published numbers; those are of {', '.join(known) or 'nothing'}"
        )
    recalls = {
        (direction, name): _recall(
            [getattr(score, direction)[name] for score in scores],
            interval=scores[0].intervals[direction][name] if len(scores) == 1 else None,
            published=references.get((row.reference or "", direction, name), []),
        )
        for direction in DIRECTIONS
        for name in (f"R@{k}" for k in recall_at)
    }
    letters = of_runs[0].letters
    label = row.label or f"{row.run} ({letters}) by {row.score}"
    names = (label, row.run, row.benchmark, row.score, letters)
    trained_on = max(result.trained_on for result in of_runs)
    counts = (scores[0].gallery, of_runs[0].queries, trained_on)
    return TableLine(
        names=names,
        runs=row.runs,
        reference=row.reference or "",
        recalls=recalls,
        counts=counts,
    )


def _recall(
    percents: Sequence[float],
    *,
    interval: tuple[float, float] | None,
    published: list[Published],
) -> Recall:
    """Give the recall of one run with its interval, or the mean of several with their spread."""
    percent = mean(percents)
    return Recall(
        percent=percent,
        interval=interval,
        spread=stdev(percents) if len(percents) > 1 else None,
        comparison=compare(percent, interval=interval, published=published),
    )


def _missing_line(row: TableRow) -> TableLine:
    label = row.label or f"{row.run} by {row.score}"
    names = (label, row.run, row.benchmark, row.score, ABSENT)
    return TableLine(
        names=names, runs=row.runs, reference=row.reference or "", recalls={}, counts=None
    )


def _as_csv(lines: Sequence[TableLine], *, recall_at: Sequence[int]) -> str:
    text = io.StringIO()
    writer = csv_format.writer(text, lineterminator="\n")
    columns = [(direction, f"R@{k}") for direction in DIRECTIONS for k in recall_at]
    recalls = [f"{direction}_{name}" for direction, name in columns]
    beside = [f"{recall}_{what}" for recall in recalls for what in BESIDE]
    writer.writerow([*NAMES, *recalls, *COUNTS, RUNS, REFERENCE, *beside])
    for line in lines:
        found = [line.recalls.get(column) for column in columns]
        values = ["" if one is None else round(one.percent, 4) for one in found]
        more = [cell for one in found for cell in _cells_beside(one)]
        writer.writerow(
            [
                *line.names,
                *values,
                *(line.counts or ("",) * len(COUNTS)),
                " ".join(line.runs),
                line.reference,
                *more,
            ]
        )
    return text.getvalue()


def _cells_beside(recall: Recall | None) -> list[str | float]:
    """Give the values of ``BESIDE``; nothing where there is none."""
    if recall is None:
        return [""] * len(BESIDE)
    compared = recall.comparison
    reruns = "; ".join(f"{who} {percent:g}" for who, percent in compared.reruns.items())
    low, high = recall.interval or ("", "")
    limits = (low, high, "" if recall.spread is None else recall.spread)
    return [
        *(one if isinstance(one, str) else round(one, 4) for one in limits),
        "" if compared.paper is None else compared.paper,
        reruns,
        "" if compared.difference is None else round(compared.difference, 4),
        compared.mark or "",
    ]


def _grid(lines: Sequence[TableLine], *, recall_at: Sequence[int]) -> Grid:
    """Lay out what we found."""
    columns = [(direction, f"R@{k}") for direction in DIRECTIONS for k in recall_at]
    rows = []
    for line in lines:
        recalls = [line.recalls.get(column) for column in columns]
        clips, queries, _ = line.counts or (ABSENT, ABSENT, ABSENT)
        cells = [ABSENT if one is None else one.text for one in recalls]
        rows.append([*line.names, *cells, str(clips), str(queries)])
    cuts = len(recall_at)
    groups = [(text, len(NAMES) + cuts * i, cuts) for i, text in enumerate(DIRECTIONS.values())]
    header = [*NAMES, *(name for _, name in columns), "clips", "queries"]
    return Grid(header=header, rows=rows, num_names=len(NAMES), groups=groups)


def _published_grid(lines: Sequence[TableLine]) -> list[Grid]:
    """Lay out what others found beside what we found, if any line has such numbers."""
    rows = []
    for line in lines:
        for (direction, name), recall in line.recalls.items():
            compared = recall.comparison
            if compared.paper is None and not compared.reruns:
                continue
            paper = ABSENT if compared.paper is None else f"{compared.paper:.1f}"
            difference = ABSENT if compared.difference is None else f"{compared.difference:+.1f}"
            cells = [line.names[0], DIRECTIONS[direction], name, recall.text]
            cells.append(str(line.counts[0] if line.counts else ABSENT))
            cells += [paper, compared.reruns_text or ABSENT, difference, compared.mark or ABSENT]
            rows.append(cells)
    if not rows:
        return []
    header = ["line", "direction", "recall", "ours", "clips", "paper", "re-runs", "difference"]
    return [Grid(header=[*header, "mark"], rows=rows, num_names=3)]


def published_notes(whos: Iterable[str]) -> list[str]:
    """Say what the numbers of others are that stand beside ours, and whose.

    Args:
        whos: Who ran it again, in any order, also several times.
    """
    notes = [
        "The paper's numbers are re-ranked by the matching head, on the clips that have a sound "
        "(884 of MSR-VTT), of a checkpoint that was picked on the test set. inside: the paper's "
        "number lies in our 95 % interval; above, below: ours does, and it does not."
    ]
    named = ", ".join(dict.fromkeys(whos))
    return notes + ([f"Re-runs are those of {named}."] if named else [])


def _whos(lines: Sequence[TableLine]) -> list[str] | None:
    """Name those who ran again what the lines show; none if nothing is published of it."""
    found = [recall.comparison for line in lines for recall in line.recalls.values()]
    whos = [who for one in found for who in one.reruns]
    return None if not whos and all(one.paper is None for one in found) else whos
