"""Figures that stand in the report's page, as SVG text: loss curves, clips left step by step.

The same numbers give the same bytes: no date, no random ids. Colors are CSS variables with a
default, so that a page that holds the SVG can follow the reader's light or dark setting; opened
alone it shows the light colors.
"""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Matplotlib takes no CSS variables: it draws with these colors, which are replaced afterwards.
_INK, _MUTED, _GRID = "#000001", "#000002", "#000003"
_SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015", "#000016")
_VARIABLES = {
    _INK: "var(--ink, #1f2733)",
    _MUTED: "var(--muted, #5b6675)",
    _GRID: "var(--line, #dfe3e8)",
    _SERIES[0]: "var(--series-1, #1f6f8b)",
    _SERIES[1]: "var(--series-2, #d1662f)",
    _SERIES[2]: "var(--series-3, #6a4fa3)",
    _SERIES[3]: "var(--series-4, #3b8650)",
    _SERIES[4]: "var(--series-5, #b03a5b)",
    _SERIES[5]: "var(--series-6, #8a6d1f)",
}

_INCHES = 6.2
"""Width of every figure: in half a page, its letters are as large as the small ones around it."""

_STYLE: "dict[RcKeyType, Any]" = {
    "axes.edgecolor": _GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": _MUTED,
    "axes.labelsize": 10,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "legend.fontsize": 10,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "path.simplify": False,
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _MUTED,
    "xtick.labelsize": 9.5,
    "ytick.color": _MUTED,
    "ytick.labelsize": 9.5,
    "ytick.left": False,
}

_LOSS_PANELS = {
    "loss": "Loss",
    "text_to_item": "Contrastive, text to item",
    "item_to_text": "Contrastive, item to text",
    "matching": "Matching",
}
_CURVE_POINTS = 300
"""Points that a curve is averaged down to: more cannot be seen, and each costs bytes."""


def draw_losses(histories: Mapping[str, pd.DataFrame]) -> str:
    """Draw the loss and its parts over the steps, one line a run.

    Long histories are averaged over equal windows. A part that no run has is left out.

    Args:
        histories: For each label the training history: ``step`` and the columns of the loss.

    Returns:
        The figure as SVG text.

    Raises:
        ValueError: If there is no history, or one lacks ``step`` or ``loss``.
    """
    if not histories:
        raise ValueError("there is no training history to draw")
    for label, history in histories.items():
        _check_history(label, history)
    panels = [
        name
        for name in _LOSS_PANELS
        if name == "loss" or any(_has(history, name) for history in histories.values())
    ]
    with mpl.rc_context(_STYLE):
        rows = (len(panels) + 1) // 2
        figure = Figure(figsize=(_INCHES, 0.5 + 2.0 * rows), layout="constrained")
        axes = figure.subplots(rows, min(2, len(panels)), squeeze=False).ravel()
        for axis in axes[len(panels) :]:
            axis.remove()
        for axis, name in zip(axes[: len(panels)], panels, strict=True):
            for i, (label, history) in enumerate(histories.items()):
                if _has(history, name) or name == "loss":
                    curve = _averaged(history[["step", name]].dropna())
                    color, line = _series(i), "-" if i < len(_SERIES) else "--"
                    axis.plot(curve["step"], curve[name], line, color=color, label=label)
            axis.set_title(_LOSS_PANELS[name])
            axis.set_xlabel("step")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return _svg(figure, "losses", title="Training loss by step")


def draw_steps(splits: Mapping[str, Sequence[tuple[str, int]]], *, title: str) -> str:
    """Draw how many clips are left step by step, one group of bars a split.

    Bars are percentages of the split's first step, since splits differ in size; the numbers beside
    them are clips.

    Args:
        splits: For each split its steps, in order: name and number of clips.
        title: What the clips are of.

    Returns:
        The figure as SVG text.

    Raises:
        ValueError: If there is no split, or one has no clips at its first step.
    """
    if not splits or not all(steps and steps[0][1] for steps in splits.values()):
        raise ValueError(f"there are no clips to draw ({title})")
    sizes = [len(steps) for steps in splits.values()]
    with mpl.rc_context(_STYLE):
        height = 0.9 + 0.45 * len(sizes) + 0.24 * sum(sizes)
        figure = Figure(figsize=(_INCHES, height), layout="constrained")
        axes = figure.subplots(len(sizes), squeeze=False, sharex=True, height_ratios=sizes).ravel()
        for axis, (split, steps) in zip(axes, splits.items(), strict=True):
            counts = np.array([count for _, count in steps])
            places = np.arange(len(steps))
            colors = [_series(0 if name[:5] != "used " else 1) for name, _ in steps]
            drawn = axis.barh(places, 100 * counts / counts[0], height=0.7, color=colors)
            labels = [f"{count:,}" for count in counts]
            axis.bar_label(drawn, labels=labels, padding=4, color=_INK, fontsize=9.5)
            axis.set_title(split)
            _label_bars(axis, [name for name, _ in steps], places=places)
        axes[-1].set_xlabel("% of the clips that are listed")
        return _svg(figure, "steps", title=title)


def _label_bars(axis: Axes, labels: Sequence[str], *, places: NDArray[np.int64]) -> None:
    axis.set_yticks(places, labels)
    axis.tick_params(axis="y", labelcolor=_INK, labelsize=10.5)
    axis.invert_yaxis()
    axis.set_xlim(0, 108)  # room for the number beside a bar of 100
    axis.set_xticks(range(0, 101, 20))
    axis.grid(visible=False, axis="y")
    axis.grid(visible=True, axis="x")


def _check_history(label: str, history: pd.DataFrame) -> None:
    missing = {"step", "loss"} - set(history.columns)
    if missing:
        raise ValueError(
            f"the history of {label} lacks {', '.join(sorted(missing))}; it holds "
            f"{', '.join(map(str, history.columns)) or 'nothing'}; train that run again"
        )
    if history["loss"].dropna().empty:
        raise ValueError(f"the history of {label} holds no step; train that run again")


def _has(history: pd.DataFrame, column: str) -> bool:
    """Say whether a part of the loss was in use: one that was not is absent, empty or 0."""
    return column in history.columns and bool(history[column].fillna(0).ne(0).any())


def _averaged(curve: pd.DataFrame) -> pd.DataFrame:
    window = -(-len(curve) // _CURVE_POINTS)
    return curve.groupby(np.arange(len(curve)) // window).mean()


def _series(i: int) -> str:
    return _SERIES[i % len(_SERIES)]


def _svg(figure: Figure, name: str, *, title: str) -> str:
    """Write the figure as SVG text that can stand inside a page beside others."""
    text = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg ") :]  # an XML head and a doctype cannot stand inside a page
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # the same ids in every figure, used by nothing
    svg = re.sub(r"font-family: [^;]*;", "font-family: system-ui, sans-serif;", svg)
    # The size comes from the view box, so that the figure fits a narrow window.
    described = f' role="img" aria-label="{escape(title)}"'
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', lambda _: described, svg, count=1)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg
