"""Figure: how well the mean volume of a checkpoint foretells its recall."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gram.config import ProtocolConfig
from gram.evaluation.embeddings import load_embeddings
from gram.evaluation.protocol import choose
from gram.evaluation.results import read_scores
from gram.evaluation.showcase import pair_volumes
from gram.figures.correlation import correlate
from gram.figures.style import MARKERS, MUTED, Words, color, new_figure, write_figure

SCORE = "volume"


def draw_checkpoints(
    scores: Sequence[Path], *, folders: Sequence[Path], protocol: ProtocolConfig, svg: Path
) -> None:
    """Draw 1 - mean volume of matched pairs against R@1 by volume, a point a checkpoint.

    Volumes of different modalities cannot be compared, so each choice of modalities has its own
    coefficient.

    Args:
        scores: Scores files of runs on one benchmark, with the score volume and R@1.
        folders: Their embeddings, in the same order.
        protocol: What the benchmark ranks.
        svg: The figure; its CSV has a row a checkpoint.

    Raises:
        ValueError: If a run was not ranked by volume, or has no R@1.
    """
    numbers = pd.DataFrame(
        [
            _point(path, folder=folder, protocol=protocol)
            for path, folder in zip(scores, folders, strict=True)
        ]
    )
    with new_figure(height=3.8) as figure:
        axis = figure.subplots()
        told = []
        for number, (letters, rows) in enumerate(numbers.groupby("modalities", sort=False)):
            found = correlate(rows["one_minus_mean_volume"].to_numpy(), rows["R@1"].to_numpy())
            told.append(f"{letters}: {found.text}")
            sides = [rows["R@1"] - rows["low"], rows["high"] - rows["R@1"]]
            axis.errorbar(
                rows["one_minus_mean_volume"],
                rows["R@1"],
                yerr=sides,
                fmt="none",
                ecolor=MUTED,
                elinewidth=0.7,
                capsize=0,
            )
            axis.plot(
                rows["one_minus_mean_volume"],
                rows["R@1"],
                linestyle="none",
                marker=MARKERS[number % len(MARKERS)],
                markersize=7,
                clip_on=False,  # a recall of 0 lies on the edge
                color=color(number),
                label=told[-1],
            )
        axis.set_xlabel("1 minus mean volume of matched pairs")
        axis.set_ylabel("R@1 by volume, text to clip, %")
        axis.set_ylim(bottom=0)
        figure.legend(loc="outside upper left", ncols=1)
        benchmark = numbers["benchmark"].iloc[0]
        caption = (
            f"Checkpoints on {benchmark}, {'; '.join(told)}. In brackets: 95 % interval of "
            "Pearson's r, checkpoints drawn anew; upright lines: 95 % interval of a recall. What "
            "holds within one run need not hold across runs."
        )
        write_figure(figure, svg, words=Words("Mean volume and recall", caption), numbers=numbers)


def _point(path: Path, *, folder: Path, protocol: ProtocolConfig) -> dict[str, object]:
    result = read_scores(path)
    score = result.scores.get(SCORE)
    if score is None or "R@1" not in score.text_to_item:
        raise ValueError(
            f"{path} has no R@1 by {SCORE}; add {SCORE} to evaluation.scores, and 1 to "
            f"evaluation.recall_at, of the run {result.run}"
        )
    matched, _ = pair_volumes(choose(load_embeddings(folder), protocol).embeddings)
    low, high = score.intervals["text_to_item"]["R@1"]
    return {
        "run": result.run,
        "benchmark": result.benchmark,
        "modalities": result.letters,
        "mean_volume": matched.mean(),
        "one_minus_mean_volume": 1 - matched.mean(),
        "R@1": score.text_to_item["R@1"],
        "low": low,
        "high": high,
    }
