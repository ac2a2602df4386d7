"""Scores to one table, as CSV, Markdown and LaTeX.

Recalls are percentages. The CSV holds numbers and plain names, for programs; the other two are for
readers: their cells are escaped, and lines below the table say what the numbers can mean.
"""

import csv as csv_format
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gram.config import TableConfig, TableRow
from gram.evaluation.results import BenchmarkScores, ScoreResult, read_scores
from gram.files import write_text
from gram.tracking import Tracker

log = logging.getLogger(__name__)

NAMES = ("label", "run", "benchmark", "score", "modalities")
"""The columns of a table that say what was ranked by what."""

COUNTS = ("gallery", "queries", "trained_on")
"""The columns of a table that count clips, captions, and clips that training saw."""

DIRECTIONS = {"text_to_item": "T→item", "item_to_text": "item→T"}
"""Which way is searched: name in the CSV, and as a reader sees it."""

_SHOWN_COUNTS = {"gallery": "clips", "queries": "queries"}


@dataclass(frozen=True, kw_only=True)
class TableLine:
    """One line of a table.

    Attributes:
        names: Text of each column of ``NAMES``.
        recalls: Percentages: text to item at each cut-off, then item to text.
        result: The scores that the line was made of.
    """

    names: tuple[str, ...]
    recalls: tuple[float, ...]
    result: BenchmarkScores


def make_table(
    table: TableConfig,
    *,
    scores: Sequence[Path],
    csv: Path,
    markdown: Path,
    latex: Path,
    tracker: Tracker,
) -> None:
    """Write one table in three forms, with the cut-offs K that all of its lines have.

    Args:
        table: Title, lines and note.
        scores: The scores files of all that the table names.
        csv: The table for programs.
        markdown: The table with its notes, for reading as it is.
        latex: The table with its notes, for a paper; needs the package booktabs. Its name
            becomes the label.
        tracker: Takes the three files.

    Raises:
        ValueError: If a line's scores or its score are not there, or no cut-off is in all lines.
    """
    results = index_results(scores)
    recall_at = _common_cutoffs(table, results=results)
    lines = [_line(row, results=results, recall_at=recall_at) for row in table.rows]
    notes = table_warnings(table, results=results) + table_notes(table, results=results)
    write_text(csv, _as_csv(lines, recall_at=recall_at))
    write_text(markdown, _as_markdown(table.title, lines, recall_at=recall_at, notes=notes))
    label = f"tab:{latex.stem}"
    write_text(latex, _as_latex(table.title, lines, recall_at=recall_at, notes=notes, label=label))
    for path in (csv, markdown, latex):
        tracker.artifact(path)
    log.info("%s: %d lines", csv, len(lines))


def index_results(scores: Sequence[Path]) -> dict[tuple[str, str], BenchmarkScores]:
    """Read scores files into a mapping from (run, benchmark)."""
    results = (read_scores(path) for path in scores)
    return {(result.run, result.benchmark): result for result in results}


def table_warnings(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[str]:
    """Say which lines of a table rank clips that training saw.

    Args:
        table: The table.
        results: The scores of each (run, benchmark) that the table names.

    Raises:
        ValueError: If a line's scores are not there.
    """
    found = {(row.run, row.benchmark): _result(row, results=results) for row in table.rows}
    return [
        f"Warning: {result.trained_on} of the {result.gallery} gallery clips of {benchmark} were "
        f"trained on by {run}. These numbers show that the plumbing works, not that anything was "
        "learned."
        for (run, benchmark), result in found.items()
        if result.trained_on > 0
    ]


def table_notes(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[str]:
    """Say in sentences what stands behind a table: its note, chance, galleries.

    Args:
        table: The table.
        results: The scores of each (run, benchmark) that the table names.

    Raises:
        ValueError: If a line's scores are not there.
    """
    found = {(row.run, row.benchmark): _result(row, results=results) for row in table.rows}
    notes = [table.note] if table.note else []
    galleries = sorted({result.gallery for result in found.values()})
    chances = " or ".join(f"{chance_percent(n)} % ({n} clips)" for n in galleries)
    notes.append(f"Recalls are percentages, without re-ranking. By chance R@1 is {chances}.")
    described: dict[str, list[str]] = {}
    for (run, _), result in found.items():
        described.setdefault(_gallery_note(result), []).append(run)
    for gallery, runs in described.items():
        notes.append(gallery if len(described) == 1 else f"{gallery} Runs: {', '.join(runs)}.")
    for benchmark in sorted({benchmark for _, benchmark in found}):
        ranked = {result.clip_ids for (_, name), result in found.items() if name == benchmark}
        if len(ranked) > 1:
            notes.append(
                f"The runs rank {len(ranked)} different galleries of {benchmark}; "
                "recalls of different galleries cannot be compared."
            )
    return notes


def _gallery_note(result: BenchmarkScores) -> str:
    counts = ", ".join(f"{what} {count}" for what, count in result.counts.items())
    return (
        f"{result.benchmark}: split {result.split} of data set {result.dataset}, "
        f"{result.gallery} clips and {result.queries} queries"
        f"{f' ({counts})' if counts else ''}."
    )


def _result(
    row: TableRow, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> BenchmarkScores:
    key = (row.run, row.benchmark)
    if key not in results:
        known = ", ".join(f"{run} on {benchmark}" for run, benchmark in results) or "none"
        raise ValueError(
            f"the table names {row.run} on {row.benchmark}, whose scores were not given; "
            f"given: {known}; score that benchmark first"
        )
    return results[key]


def _score(row: TableRow, *, results: Mapping[tuple[str, str], BenchmarkScores]) -> ScoreResult:
    found = _result(row, results=results).scores
    if row.score not in found:
        raise ValueError(
            f"the scores of {row.run} on {row.benchmark} lack {row.score!r}; they hold "
            f"{', '.join(found) or 'none'}; add it to evaluation.scores of the run"
        )
    return found[row.score]


def _common_cutoffs(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[int]:
    """Find the cut-offs K that every line has, in order."""
    of_lines = {
        row.run: {
            int(name.removeprefix("R@"))
            for name in _score(row, results=results).text_to_item
            if name.startswith("R@")
        }
        for row in table.rows
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
) -> TableLine:
    result, score = _result(row, results=results), _score(row, results=results)
    recalls = tuple(
        values[f"R@{k}"] for values in (score.text_to_item, score.item_to_text) for k in recall_at
    )
    label = row.label or f"{row.run} ({result.letters}) by {row.score}"
    names = (label, row.run, row.benchmark, row.score, result.letters)
    return TableLine(names=names, recalls=recalls, result=result)


def _as_csv(lines: Sequence[TableLine], *, recall_at: Sequence[int]) -> str:
    text = io.StringIO()
    writer = csv_format.writer(text, lineterminator="\n")
    recalls = [f"{direction}_R@{k}" for direction in DIRECTIONS for k in recall_at]
    writer.writerow([*NAMES, *recalls, *COUNTS])
    for line in lines:
        counts = [getattr(line.result, name) for name in COUNTS]
        writer.writerow([*line.names, *(round(recall, 4) for recall in line.recalls), *counts])
    return text.getvalue()


def _shown_cells(line: TableLine) -> list[str]:
    counts = [str(getattr(line.result, name)) for name in _SHOWN_COUNTS]
    return [*line.names, *(f"{recall:.1f}" for recall in line.recalls), *counts]


def _as_markdown(
    title: str, lines: Sequence[TableLine], *, recall_at: Sequence[int], notes: Sequence[str]
) -> str:
    """Lay the table out so that it also reads as plain text."""
    recalls = [f"{direction} R@{k}" for direction in DIRECTIONS.values() for k in recall_at]
    header = [*NAMES, *recalls, *_SHOWN_COUNTS.values()]
    body = [[escape_markdown(cell) for cell in _shown_cells(line)] for line in lines]
    widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
    align = [str.ljust if name in NAMES else str.rjust for name in header]

    def row_text(cells: Sequence[str]) -> str:
        padded = [put(cell, width) for put, cell, width in zip(align, cells, widths, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if name in NAMES else "-" * (width - 1) + ":"
        for width, name in zip(widths, header, strict=True)
    ]
    parts = [f"# {escape_markdown(title)}", ""]
    parts += [row_text(cells) for cells in (header, rule, *body)]
    parts += ["", *(f"- {escape_markdown(note)}" for note in notes)]
    return "\n".join(parts) + "\n"


def _as_latex(
    title: str,
    lines: Sequence[TableLine],
    *,
    recall_at: Sequence[int],
    notes: Sequence[str],
    label: str,
) -> str:
    names, cuts = len(NAMES), len(recall_at)
    first, second = (
        rf"\multicolumn{{{cuts}}}{{c}}{{{arrow}}}"
        for arrow in (r"T $\rightarrow$ item", r"item $\rightarrow$ T")
    )
    rules = [rf"\cmidrule(lr){{{start + 1}-{start + cuts}}}" for start in (names, names + cuts)]
    header = [*NAMES, *[f"R@{k}" for k in recall_at] * 2, *_SHOWN_COUNTS.values()]
    parts = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(title)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{'l' * names}{'r' * (2 * cuts + len(_SHOWN_COUNTS))}}}",
        r"\toprule",
        rf"{' & ' * names}{first} & {second}{' & ' * len(_SHOWN_COUNTS)} \\",
        " ".join(rules),
        rf"{' & '.join(header)} \\",
        r"\midrule",
        *(rf"{' & '.join(escape_latex(cell) for cell in _shown_cells(line))} \\" for line in lines),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {escape_latex(note)}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def chance_percent(gallery: int, *, k: int = 1) -> str:
    """Give Recall@K of a random ranking of so many clips, in percent.

    Example:
        >>> chance_percent(8), chance_percent(884), chance_percent(4, k=10)
        ('12.5', '0.11', '100.0')
    """
    chance = 100 * min(k / gallery, 1)
    return f"{chance:.1f}" if chance >= 1 else f"{chance:.2g}"


_MARKDOWN_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escape_markdown(text: str) -> str:
    r"""Write text so that a Markdown table cell or list item shows it as it is, on one line.

    Example:
        >>> escape_markdown("a|b <i> *c* tva_2")
        'a\\|b &lt;i&gt; \\*c\\* tva_2'
    """
    text = " ".join(text.split()).translate(_MARKDOWN_ENTITIES)
    text = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", text)
    # Underscores inside words are plain in Markdown, and names are full of them.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "→": r"$\rightarrow$",
    }
)


def escape_latex(text: str) -> str:
    r"""Write text so that LaTeX prints it as it is, on one line.

    Example:
        >>> escape_latex("50 % of a_b & {c}")
        '50 \\% of a\\_b \\& \\{c\\}'
    """
    return " ".join(text.split()).translate(_LATEX)
