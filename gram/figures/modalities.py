"""Figure: recall by volume of runs with different modalities."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gram.evaluation.results import BenchmarkScores, read_scores
from gram.figures.style import Words, draw_bars, new_figure, write_figure

SCORE = "volume"
CUTOFFS = ("R@1", "R@10")


def draw_modalities(scores: Sequence[Path], *, svg: Path) -> None:
    """Draw recalls with their intervals, fewest modalities on top.

    Args:
        scores: Scores files of runs on one benchmark, with the score volume.
        svg: The figure; its CSV has a row a bar.

    Raises:
        ValueError: If a run was not ranked by volume, or the runs have no cut-off in common.
    """
    results = sorted(map(read_scores, scores), key=lambda one: len(one.modalities))
    cutoffs = _cutoffs(results)
    rows = []
    for result in results:
        score = result.scores[SCORE]
        for name in cutoffs:
            low, high = score.intervals["text_to_item"][name]
            rows.append(
                {
                    "label": f"{result.letters}\n{result.run}",
                    "run": result.run,
                    "modalities": result.letters,
                    "series": name,
                    "percent": score.text_to_item[name],
                    "low": low,
                    "high": high,
                }
            )
    numbers = pd.DataFrame(rows)
    with new_figure(height=1.1 + 0.34 * len(rows)) as figure:
        axis = figure.subplots()
        xlabel = "% of captions whose clip is among the first K"
        draw_bars(axis, numbers, series=cutoffs, xlabel=xlabel)
        figure.legend(loc="outside upper left", ncols=len(cutoffs))
        caption = (
            f"Text to clip on {results[0].benchmark}, ranked by volume, with 95 % intervals. T "
            "text, V video, A audio, S subtitles, D depth; each is a run of its own, trained on "
            "these modalities."
        )
        words = Words("Recall by modalities", caption)
        write_figure(figure, svg, words=words, numbers=numbers.drop(columns="label"))


def _cutoffs(results: Sequence[BenchmarkScores]) -> list[str]:
    """Name R@1 and R@10, or else the smallest and the largest cut-off that all runs have."""
    for result in results:
        if SCORE not in result.scores:
            raise ValueError(
                f"{result.run} was not ranked by {SCORE} on {result.benchmark}; add {SCORE} to its "
                "evaluation.scores"
            )
    common = set.intersection(*(set(one.scores[SCORE].text_to_item) for one in results))
    recalls = sorted((name for name in common if name.startswith("R@")), key=lambda x: int(x[2:]))
    if not recalls:
        raise ValueError(
            f"the runs {', '.join(one.run for one in results)} have no cut-off in common to draw; "
            "give them one in evaluation.recall_at"
        )
    usual = [name for name in CUTOFFS if name in recalls]
    return usual or list(dict.fromkeys([recalls[0], recalls[-1]]))
