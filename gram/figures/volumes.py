"""Figure: volumes of captions with their own clip, and with others."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gram.config import ProtocolConfig
from gram.evaluation.embeddings import load_embeddings
from gram.evaluation.protocol import choose
from gram.evaluation.showcase import pair_volumes
from gram.figures.style import HATCHES, INK, Words, color, new_figure, write_figure

BINS = 50


def draw_volumes(folder: Path, *, protocol: ProtocolConfig, svg: Path) -> None:
    """Draw how the volumes of matched and of unmatched pairs are spread.

    Args:
        folder: Embeddings of the split that is ranked.
        protocol: Which of its clips and texts.
        svg: The figure; its CSV has a row a bin.

    Raises:
        ValueError: If no text has its clip among those that are ranked.
    """
    embedded = choose(load_embeddings(folder), protocol).embeddings
    matched, unmatched = pair_volumes(embedded)
    if not len(matched):
        raise ValueError(f"no text of {folder} has its clip in the gallery; there is none to draw")
    top = max(1.0, float(matched.max()), float(unmatched.max(initial=0.0)))
    edges = np.linspace(0.0, top, BINS + 1)
    numbers = pd.DataFrame({"low": edges[:-1], "high": edges[1:]})
    with new_figure(height=3.4) as figure:
        axis = figure.subplots()
        for number, (name, volumes) in enumerate(
            {"unmatched": unmatched, "matched": matched}.items()
        ):
            percent = 100 * np.histogram(volumes, edges)[0] / max(1, len(volumes))
            numbers[f"{name}_percent"] = percent
            axis.stairs(
                percent,
                edges,
                fill=True,
                color=color(1 - number),
                alpha=0.55,
                hatch=HATCHES[1 - number],
            )
            label = f"{name}, {len(volumes):,} pairs" + _mean(volumes)
            line = ("--", "-")[number]
            axis.stairs(percent, edges, color=color(1 - number), linestyle=line, label=label)
            if len(volumes):
                axis.axvline(float(volumes.mean()), color=INK, linestyle=line, linewidth=1)
        axis.set_xlim(0, top)
        axis.set_ylim(bottom=0)
        axis.set_xlabel("volume (small is near)")
        axis.set_ylabel("% of pairs")
        figure.legend(loc="outside upper left", ncols=1)
        apart = (
            f"Of a matched and an unmatched pair, the matched one has the smaller volume "
            f"{100 * _share_below(matched, unmatched):.1f} % of the time. "
            if len(unmatched)
            else ""
        )
        caption = (
            f"{embedded.run} on {embedded.benchmark}: captions with their own clip, and with "
            f"others. {apart}Upright lines: means."
        )
        words = Words("Volumes of matched and unmatched pairs", caption)
        write_figure(figure, svg, words=words, numbers=numbers)


def _mean(volumes: NDArray[np.float64]) -> str:
    return f", mean {volumes.mean():.3f}" if len(volumes) else ""


def _share_below(matched: NDArray[np.float64], unmatched: NDArray[np.float64]) -> float:
    """Give the share of pairs of both in which the matched one is smaller; ties count half."""
    ordered = np.sort(unmatched)
    above = len(ordered) - np.searchsorted(ordered, matched, side="right")
    tied = np.searchsorted(ordered, matched, side="right") - np.searchsorted(ordered, matched)
    return float((above + tied / 2).mean() / len(ordered))
