"""How figures look, and how they are written.

Colors keep apart for color-blind readers and differ in lightness, and whatever a color tells is
told by a marker, a hatch or a label too, so that a print in gray can be read.
"""

import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gram.files import atomic_path, write_text

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, MUTED, GRID = "#1f2733", "#5b6675", "#dfe3e8"
SERIES = ("#0b3c5d", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#aa4499", "#332288", "#999933")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
BARS = ("#7fb2d9", "#e69f00", "#009e73")
"""Colors of bars: an interval in ink can be seen on them."""

HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")

INCHES = 6.4
"""Width of every figure."""

DOTS_PER_INCH = 200
"""Of the PNG."""

STYLE: "dict[RcKeyType, Any]" = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.unicode_minus": True,
    "errorbar.capsize": 3,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with Matplotlib
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "hatch.color": "white",
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "path.simplify": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "text.color": INK,
    "text.parse_math": False,  # labels are names that people chose
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9.5,
}


class Words(NamedTuple):
    """What is said of a figure."""

    title: str
    caption: str


@contextmanager
def new_figure(*, height: float) -> Iterator[Figure]:
    """Give a figure in the style of this project, which holds while it is drawn and written.

    Args:
        height: In inches.
    """
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(INCHES, height), layout="constrained")


def write_figure(figure: Figure, svg: Path, *, words: Words, numbers: pd.DataFrame) -> None:
    """Write a figure as SVG, PDF and PNG, and its numbers as CSV, each whole or not at all.

    The four stand beside each other. Title and caption stand in the SVG, for those who cannot see
    it and for ``read_words``.

    Args:
        figure: Drawn inside ``new_figure``.
        svg: The SVG; the others differ in their suffix.
        words: What is said of it.
        numbers: All that is drawn, a row each.
    """
    with mpl.rc_context({"svg.hashsalt": svg.stem}):
        text = _saved(figure, "svg", Date=None).decode("utf-8")
    told = f"<title>{escape(words.title)}</title>\n<desc>{escape(words.caption)}</desc>\n"
    head = text.index(">", text.index("<svg ")) + 1
    write_text(svg, f"{text[:head]}\n{told}{text[head:]}")
    _write_bytes(svg.with_suffix(".pdf"), _saved(figure, "pdf", CreationDate=None))
    _write_bytes(svg.with_suffix(".png"), _saved(figure, "png", Software=None))
    write_text(svg.with_suffix(".csv"), numbers.to_csv(index=False, lineterminator="\n"))


def read_words(svg: Path) -> Words:
    """Read title and caption of a figure that ``write_figure`` wrote.

    Raises:
        ValueError: If the file is no such figure.
    """
    space = "{http://www.w3.org/2000/svg}"
    try:
        root = ET.parse(svg).getroot()  # noqa: S314 - written by this project
    except ET.ParseError as error:
        raise ValueError(f"{svg} is no whole SVG ({error}); delete it and draw it again") from error
    found = [root.findtext(space + name) for name in ("title", "desc")]
    if None in found:
        raise ValueError(f"{svg} has no title and caption; delete it and draw it again")
    return Words(*map(str, found))


def color(number: int) -> str:
    """Give the color of a series."""
    return SERIES[number % len(SERIES)]


def draw_bars(
    axis: Axes, rows: pd.DataFrame, *, series: Sequence[str], xlabel: str, groups: str = "label"
) -> None:
    """Draw groups of horizontal bars with intervals, their values beside them.

    Args:
        axis: Where to draw.
        rows: Columns ``series``, ``percent``, ``low``, ``high`` and that of ``groups``; one row a
            bar.
        series: The bars of each group, from the top.
        xlabel: What the percentages are of.
        groups: Column that names the groups; they stand in the order of the rows.
    """
    names = list(dict.fromkeys(rows[groups]))
    height = 0.8 / len(series)
    for number, one in enumerate(series):
        drawn = rows[rows["series"] == one]
        places = np.array([names.index(name) for name in drawn[groups]])
        places = places + (number - (len(series) - 1) / 2) * height
        percent = drawn["percent"].to_numpy()
        sides = [percent - drawn["low"].to_numpy(), drawn["high"].to_numpy() - percent]
        axis.barh(
            places,
            percent,
            height=height * 0.9,
            color=BARS[number % len(BARS)],
            hatch=HATCHES[number % len(HATCHES)],
            label=one,
        )
        axis.errorbar(percent, places, xerr=np.abs(sides), fmt="none", ecolor=INK, elinewidth=1)
        for place, value, high in zip(places, percent, drawn["high"], strict=True):
            axis.annotate(
                f"{value:.1f}",
                (high, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(0, 112)  # room for the number beside a bar of 100
    axis.set_xticks(range(0, 101, 20))
    axis.grid(visible=False, axis="y")
    axis.set_xlabel(xlabel)


def _saved(figure: Figure, kind: str, **metadata: None) -> bytes:
    """Give the bytes of a figure, without the facts that differ from time to time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata, dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def _write_bytes(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        Path(temporary).write_bytes(content)
