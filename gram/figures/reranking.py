"""Figure: recall against the number of candidates that the matching head reads."""

from pathlib import Path

import pandas as pd
import torch

from gram.config import parse_score
from gram.evaluation.embeddings import load_embeddings
from gram.evaluation.fitted import FittedScore, directions, plain_score
from gram.evaluation.intervals import intervals
from gram.evaluation.match_table import read_matches
from gram.evaluation.protocol import choose
from gram.evaluation.ranked import RankedSet
from gram.evaluation.rerank import BestPairs, Matches, best_candidates, rank_matched
from gram.evaluation.retrieval import RetrievalPlaces, rank_retrieval, summarize_places
from gram.figures.style import MARKERS, Words, color, new_figure, write_figure
from gram.jobs import ScoreSettings

DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Candidates that are read, of those up to the number that was."""

LINES = {"text_to_item": ("text to clip", "-"), "item_to_text": ("clip to text", "--")}


def draw_reranking(folder: Path, *, matches: Path, settings: ScoreSettings, svg: Path) -> None:
    """Draw R@1 against K, for each re-ranked score whose first stage has nothing fitted.

    The best K of what was read are a part of the best that were, so nothing is read anew. K of 0
    is the first score alone.

    Args:
        folder: Embeddings of the split that is ranked.
        matches: What the matching head said of the best pairs.
        settings: Protocol, scores and resamples of the benchmark's scoring.
        svg: The figure; its CSV has a row a score, direction and K.

    Raises:
        ValueError: If no such score was read.
    """
    ranked = choose(load_embeddings(folder), settings.protocol).embeddings.ranked
    rows = []
    for name, read in read_matches(matches).items():
        spec = parse_score(name)
        if not spec.is_fitted:
            first = plain_score(spec.first_stage.name)
            rows += _rows(name, first, ranked, read, resamples=settings.evaluation.resamples)
    if not rows:
        raise ValueError(
            f"{matches} has no re-ranked score whose first stage is computed from vectors alone; "
            "add one, such as volume+rerank, to evaluation.scores"
        )
    numbers = pd.DataFrame(rows)
    with new_figure(height=3.8) as figure:
        axis = figure.subplots()
        depths = sorted(set(numbers["K"]))
        for number, (score, of_score) in enumerate(numbers.groupby("score", sort=False)):
            for way, drawn in of_score.groupby("direction", sort=False):
                label, line = LINES[str(way)]
                places = [depths.index(k) for k in drawn["K"]]
                axis.errorbar(
                    places,
                    drawn["percent"],
                    yerr=[drawn["percent"] - drawn["low"], drawn["high"] - drawn["percent"]],
                    linestyle=line,
                    marker=MARKERS[number % len(MARKERS)],
                    color=color(number),
                    elinewidth=0.8,
                    label=f"{score}, {label}",
                )
        axis.set_xticks(range(len(depths)), [str(k) for k in depths])
        axis.set_xlabel("K, candidates that the matching head reads (0: the first score alone)")
        axis.set_ylabel("R@1, %")
        axis.set_ylim(bottom=0)
        axis.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=2)
        caption = (
            f"{settings.benchmark}: the best K of the first score, put in order by the matching "
            "head, with 95 % intervals over clips."
        )
        write_figure(
            figure, svg, words=Words("Recall by K of re-ranking", caption), numbers=numbers
        )


def _rows(
    name: str, first: FittedScore, ranked: RankedSet, read: Matches, *, resamples: int
) -> list[dict[str, object]]:
    """Give the recalls of one score at each K, in both directions."""
    both = directions(first, ranked)
    ordered = Matches(
        _in_order(read.text_to_item, best_candidates(both.text_to_item, keep=_keep(read))),
        _in_order(read.item_to_text, best_candidates(both.item_to_text, keep=_keep(read))),
    )
    found = {0: rank_retrieval(first, ranked)}
    for k in (*(k for k in DEPTHS if k < _keep(read)), _keep(read)):
        cut = Matches(
            *(BestPairs(one.candidate_qk[:, :k], one.probability_qk[:, :k]) for one in ordered)
        )
        found[k] = rank_matched(first, ranked, cut)
    return [
        {"score": name, "direction": way, "K": k, **_recall(places, way, resamples=resamples)}
        for way in LINES
        for k, places in found.items()
    ]


def _keep(read: Matches) -> int:
    return max(one.candidate_qk.shape[1] for one in read)


def _in_order(read: BestPairs, best_qk: torch.Tensor) -> BestPairs:
    """Put what was read of each query in the order of the first score, nearest first."""
    is_same_qkk = read.candidate_qk.unsqueeze(2) == best_qk.unsqueeze(1)
    if not bool(is_same_qkk.any(dim=2).all()):
        raise ValueError("other pairs were read than the best of the first score; read them again")
    order_qk = is_same_qkk.byte().argmax(dim=2).argsort(dim=1)
    return BestPairs(read.candidate_qk.gather(1, order_qk), read.probability_qk.gather(1, order_qk))


def _recall(places: RetrievalPlaces, way: str, *, resamples: int) -> dict[str, float]:
    asked = getattr(places, way)
    low, high = intervals(asked, recall_at=(1,), resamples=resamples)["R@1"]
    percent = summarize_places(asked.places, recall_at=(1,))["R@1"]
    return {"percent": percent, "low": low, "high": high}
