"""Scores a benchmark: every score of a run, in both directions, with intervals and all places."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gram.config import ScoreSpec, parse_score
from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings
from gram.evaluation.fitted import FittedScore
from gram.evaluation.fitting import Fitting
from gram.evaluation.intervals import intervals
from gram.evaluation.match_table import read_matches
from gram.evaluation.place_table import write_places
from gram.evaluation.protocol import choose
from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import Places
from gram.evaluation.rerank import Matches, rank_matched
from gram.evaluation.results import (
    BenchmarkScores,
    FitRecord,
    FittedNumbers,
    ScoreResult,
    write_scores,
)
from gram.evaluation.retrieval import RetrievalPlaces, joined, rank_retrieval, summarize_places
from gram.jobs import ScoreSettings
from gram.progress import track
from gram.tracking import Tracker

log = logging.getLogger(__name__)

DIRECTIONS = ("text_to_item", "item_to_text")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one score gives: every place, and what was fitted for it.

    Attributes:
        near_is: Which end is near.
        places: The places of all queries; those of several halves one behind the other.
        fits: The fitted scores: none, one, or one a half.
        fitted_clips: Number of clips that each was fitted on.
    """

    near_is: str
    places: RetrievalPlaces
    fits: tuple[FittedScore, ...] = ()
    fitted_clips: int = 0


def score_retrieval(
    folder: Path,
    *,
    fit_folder: Path | None,
    matches: Path | None,
    settings: ScoreSettings,
    scores: Path,
    places: Path,
    tracker: Tracker,
) -> None:
    """Rank a benchmark by each score of the settings, and write recalls and places.

    Args:
        folder: Embeddings of the split that is ranked.
        fit_folder: Embeddings of the split that is fitted on; none: halves of the ranked clips.
        matches: What the matching head said of pairs; none: no score is re-ranked.
        settings: The benchmark's name and protocol, which scores, which recalls.
        scores: The JSON file: what was ranked, and for each score both directions.
        places: The parquet file: for each score, direction and query the place of what is right.
        tracker: Takes every number as ``score/direction/name``.

    Raises:
        ValueError: If the embeddings are not whole, or lack what a score needs.
    """
    chosen = choose(load_embeddings(folder), settings.protocol)
    ranked, evaluation = chosen.embeddings, settings.evaluation
    fitted_on = None if fit_folder is None else load_embeddings(fit_folder).ranked
    read = {} if matches is None else read_matches(matches)
    specs = [parse_score(name) for name in evaluation.scores]
    scored = score_set(
        specs, ranked.ranked, fitted_on=fitted_on, halves=evaluation.halves, matches=read
    )
    found = dict(zip(evaluation.scores, scored, strict=True))
    if settings.protocol.captions == "best":
        found = {name: _best_captions(one) for name, one in found.items()}
    results = {
        name: summarize(one, spec=parse_score(name), settings=settings)
        for name, one in found.items()
    }
    write_scores(_record(ranked, settings=settings, results=results), scores)
    write_places({name: one.places for name, one in found.items()}, ranked, places)
    for name, result in results.items():
        for direction in DIRECTIONS:
            values: Mapping[str, float] = getattr(result, direction)
            tracker.metrics({f"{name}/{direction}/{key}": x for key, x in values.items()})
    _tell(ranked, settings=settings, results=results)


def score_set(
    specs: Sequence[ScoreSpec],
    ranked: RankedSet,
    *,
    fitted_on: RankedSet | None,
    halves: int,
    matches: Mapping[str, Matches],
) -> list[Scored]:
    """Rank a set by several scores, fitted on other clips if they need that.

    Args:
        specs: The scores.
        ranked: Texts and clips that are ranked.
        fitted_on: Others, for what is fitted. None: random halves of the ranked ones, one of which
            is fitted on and the other one ranked.
        halves: How many random halves.
        matches: What the matching head said of the best pairs, for each re-ranked score by name.

    Raises:
        ValueError: If a modality is not there, too few clips are, or pairs were not read.
    """
    halved = [spec for spec in specs if spec.is_fitted and fitted_on is None]
    found = dict(zip(halved, cross_fit(halved, ranked, halves=halves), strict=True))
    fitting = Fitting(ranked if fitted_on is None else fitted_on)
    for spec in specs:
        if spec not in found:
            found[spec] = _scored(spec, ranked, fitting=fitting, matches=matches)
    return [found[spec] for spec in specs]


def _scored(
    spec: ScoreSpec, ranked: RankedSet, *, fitting: Fitting, matches: Mapping[str, Matches]
) -> Scored:
    """Rank a set whole by one score."""
    score = fitting.fit(spec)
    fits = (score,) if spec.is_fitted else ()
    clips = fitting.clips if fits else 0
    if not spec.is_reranked:
        places = rank_retrieval(score, ranked)
        return Scored(near_is=score.near_is, places=places, fits=fits, fitted_clips=clips)
    if spec.name not in matches:
        raise ValueError(f"the score {spec.name!r} needs pairs that the matching head read")
    places = rank_matched(score, ranked, matches[spec.name])
    return Scored(near_is="large", places=places, fits=fits, fitted_clips=clips)


def cross_fit(specs: Sequence[ScoreSpec], ranked: RankedSet, *, halves: int) -> list[Scored]:
    """Fit scores on one random half of the clips and rank the other one, some times over.

    The same halves are drawn for every score, so that scores can be compared, those in which
    nothing is fitted among them.

    Args:
        specs: The scores.
        ranked: Texts and clips.
        halves: How many halves are drawn.

    Raises:
        ValueError: If there are too few clips, or a modality is not there.
    """
    if not specs:
        return []
    fits: list[list[FittedScore]] = [[] for _ in specs]
    parts: list[list[RetrievalPlaces]] = [[] for _ in specs]
    for seed in track(range(halves), total=halves, label="fitting on halves", unit="halves"):
        fitted_rows, ranked_rows = ranked.halves(seed)
        fitting, part = Fitting(ranked.of_clips(fitted_rows)), ranked.of_clips(ranked_rows)
        text_rows = ranked.text_rows_of(ranked_rows)
        for number, spec in enumerate(specs):
            fits[number].append(fitting.fit(spec))
            places = rank_retrieval(fits[number][-1], part)
            parts[number].append(places.with_rows(text_rows, ranked_rows))
    clips = len(ranked.vectors_nkd) // 2
    return [
        Scored(
            near_is=of_spec[0].near_is,
            places=joined(places),
            fits=tuple(of_spec) if spec.is_fitted else (),
            fitted_clips=clips,
        )
        for spec, of_spec, places in zip(specs, fits, parts, strict=True)
    ]


def _best_captions(scored: Scored) -> Scored:
    """Let each clip be one query, with its best caption."""
    places = RetrievalPlaces(
        text_to_item=scored.places.text_to_item.best_of_clusters(),
        item_to_text=scored.places.item_to_text,
    )
    return Scored(
        near_is=scored.near_is,
        places=places,
        fits=scored.fits,
        fitted_clips=scored.fitted_clips,
    )


def summarize(scored: Scored, *, spec: ScoreSpec, settings: ScoreSettings) -> ScoreResult:
    """Give recalls, ranks and their intervals in both directions."""
    evaluation, fit = settings.evaluation, None
    if scored.fits:
        fit = FitRecord(
            split=settings.protocol.fit_split,
            clips=scored.fitted_clips,
            numbers=tuple(_numbers(one) for one in scored.fits),
        )
    of_direction = {name: getattr(scored.places, name) for name in DIRECTIONS}
    summaries = {
        name: summarize_places(one.places, recall_at=evaluation.recall_at)
        for name, one in of_direction.items()
    }
    return ScoreResult.model_validate(
        {
            "near_is": scored.near_is,
            "gallery": scored.places.text_to_item.candidates,
            "is_transductive": spec.is_transductive,
            "fit": fit,
            **summaries,
            "ties_won": {
                name: _recalls(one.places.ties_won, recall_at=evaluation.recall_at)
                for name, one in of_direction.items()
            },
            "intervals": {
                name: intervals(one, recall_at=evaluation.recall_at, resamples=evaluation.resamples)
                for name, one in of_direction.items()
            },
        }
    )


def _recalls(places: Places, *, recall_at: Sequence[int]) -> dict[str, float]:
    summary = summarize_places(places, recall_at=recall_at)
    return {name: value for name, value in summary.items() if name.startswith("R@")}


def _numbers(score: FittedScore) -> FittedNumbers:
    lambdas = None
    if score.lambdas is not None:
        lambdas = [None if math.isinf(one) else one for one in score.lambdas]
    hubs = score.hubs and {
        "text_to_item": tuple(score.hubs.text_to_item),
        "item_to_text": tuple(score.hubs.item_to_text),
    }
    shrinkage = score.whitening and score.whitening.shrinkage
    return FittedNumbers.model_validate({"lambdas": lambdas, "shrinkage": shrinkage, "hubs": hubs})


def _record(
    ranked: BenchmarkEmbeddings, *, settings: ScoreSettings, results: Mapping[str, ScoreResult]
) -> BenchmarkScores:
    is_best = settings.protocol.captions == "best"
    return BenchmarkScores(
        run=ranked.run,
        benchmark=settings.benchmark,
        dataset=ranked.dataset,
        split=ranked.split,
        modalities=ranked.modalities,
        gallery=len(ranked.clip_ids),
        queries=len(set(ranked.text_group_q.tolist())) if is_best else len(ranked.queries),
        counts=ranked.counts,
        trained_on=ranked.trained_on,
        origin=ranked.origin,
        protocol=settings.protocol,
        evaluation=settings.evaluation,
        clip_ids=ranked.clip_ids,
        scores=dict(results),
    )


def _tell(
    ranked: BenchmarkEmbeddings, *, settings: ScoreSettings, results: Mapping[str, ScoreResult]
) -> None:
    cuts: Sequence[int] = settings.evaluation.recall_at
    score, recall = settings.evaluation.scores[0], f"R@{cuts[0]}"
    log.info(
        "%s on %s: %d queries, %d clips; by %s %s is %.1f %% text to item, %.1f %% item to text",
        ranked.run,
        settings.benchmark,
        len(ranked.queries),
        len(ranked.clip_ids),
        score,
        recall,
        results[score].text_to_item[recall],
        results[score].item_to_text[recall],
    )
