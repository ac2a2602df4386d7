"""Tables for readers: Markdown that reads as plain text, and LaTeX with booktabs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows of text below a header.

    Attributes:
        header: Names of the columns.
        rows: Cells, as many in each row as there are columns.
        num_names: The first so many columns are text; the others are numbers.
        groups: What stands above some columns: text, number of the first column, and how many.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_names: int
    groups: Sequence[tuple[str, int, int]] = ()


def as_markdown(title: str, grids: Sequence[Grid], *, notes: Sequence[str]) -> str:
    """Lay tables out below a title, notes below them, so that all reads as plain text."""
    parts = [f"# {escape_markdown(title)}", ""]
    for grid in grids:
        parts += [*_markdown_lines(grid), ""]
    parts += [f"- {escape_markdown(note)}" for note in notes]
    return "\n".join(parts) + "\n"


def _markdown_lines(grid: Grid) -> list[str]:
    header = list(grid.header)
    for text, first, count in grid.groups:
        for column in range(first, first + count):
            header[column] = f"{text} {header[column]}"
    body = [[escape_markdown(cell) for cell in row] for row in grid.rows]
    widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
    is_name = [number < grid.num_names for number in range(len(header))]

    def row_text(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if name else cell.rjust(width)
            for cell, width, name in zip(cells, widths, is_name, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if name else "-" * (width - 1) + ":"
        for width, name in zip(widths, is_name, strict=True)
    ]
    return [row_text(cells) for cells in (header, rule, *body)]


def as_latex(title: str, grids: Sequence[Grid], *, notes: Sequence[str], label: str) -> str:
    """Lay tables out as one float, which needs the package booktabs."""
    parts = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(title)}}}",
        rf"\label{{{label}}}",
    ]
    for grid in grids:
        parts += _latex_lines(grid)
    parts += [rf"\par\footnotesize {escape_latex(note)}" for note in notes]
    parts.append(r"\end{table}")
    return "\n".join(parts) + "\n"


def _latex_lines(grid: Grid) -> list[str]:
    numbers = len(grid.header) - grid.num_names
    lines = [rf"\begin{{tabular}}{{{'l' * grid.num_names}{'r' * numbers}}}", r"\toprule"]
    if grid.groups:
        cells, column, rules = [], 0, []
        for text, first, count in grid.groups:
            cells += [""] * (first - column)
            cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escape_latex(text)}}}")
            rules.append(rf"\cmidrule(lr){{{first + 1}-{first + count}}}")
            column = first + count
        cells += [""] * (len(grid.header) - column)
        lines += [rf"{' & '.join(cells)} \\", " ".join(rules)]
    lines.append(rf"{' & '.join(escape_latex(name) for name in grid.header)} \\")
    lines.append(r"\midrule")
    lines += [rf"{' & '.join(escape_latex(cell) for cell in row)} \\" for row in grid.rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


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
