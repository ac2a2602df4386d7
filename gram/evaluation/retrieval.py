"""Retrieval in both directions: places, Recall@K, median and mean rank of one benchmark.

Text to item: every caption is a query; its one right candidate is the clip that it describes.
Item to text: every clip that has a caption is a query; all its captions are right, and the nearest
of them counts. Clips without a caption stay candidates.

Shape letters of this file: Q captions, N clips, K modalities, D embedding width.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram.config import EvaluationConfig, ScoreName
from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings
from gram.evaluation.ranks import CHUNK_SCORES, Places, rank_in_chunks
from gram.evaluation.results import BenchmarkScores, ScoreResult, write_scores
from gram.evaluation.scores import near_is, pairwise_score
from gram.tracking import Tracker
from gram.types import Modality

log = logging.getLogger(__name__)


class RetrievalPlaces(NamedTuple):
    """Places of the right candidates in both directions.

    Attributes:
        text_to_item: For every caption the place of its clip, shape (Q,).
        item_to_text: For every clip that has a caption, in order of the clips, the place of its
            nearest caption, shape (N,) or shorter.
    """

    text_to_item: Places
    item_to_text: Places


def rank_retrieval(
    score: ScoreName,
    text_qd: Tensor,
    *,
    text_clip_q: Tensor,
    vectors_nkd: Tensor,
    present_nk: Tensor,
    modalities: Sequence[Modality],
    chunk_scores: int = CHUNK_SCORES,
) -> RetrievalPlaces:
    """Rank clips for every caption and captions for every clip.

    Args:
        score: Name of the score that ranks.
        text_qd: Vectors of the captions, of unit length, float, shape (Q, D).
        text_clip_q: Row of the clip that each caption describes, int64, shape (Q,).
        vectors_nkd: Vectors of the clips, of unit length, float, shape (N, K, D).
        present_nk: Which clips have which modality, bool, shape (N, K).
        modalities: Names of the K modalities.
        chunk_scores: Scores that are held at once; more is faster, the places are the same.

    Raises:
        ValueError: If a score is not finite or needs a modality that is not there.
    """
    asked_n = torch.unique(text_clip_q)

    def scores_of(texts: slice, clips: slice | Tensor) -> Tensor:
        return pairwise_score(
            score,
            text_qd[texts],
            vectors_mkd=vectors_nkd[clips],
            present_mk=present_nk[clips],
            modalities=modalities,
        )

    everything = slice(None)
    return RetrievalPlaces(
        text_to_item=rank_in_chunks(
            lambda texts: scores_of(texts, everything),
            text_clip_q,
            candidate_clip_c=torch.arange(len(vectors_nkd)),
            near_is=near_is(score),
            chunk_scores=chunk_scores,
        ),
        item_to_text=rank_in_chunks(
            lambda asked: scores_of(everything, asked_n[asked]).mT,
            asked_n,
            candidate_clip_c=text_clip_q,
            near_is=near_is(score),
            chunk_scores=chunk_scores,
        ),
    )


def summarize_places(places: Places, *, recall_at: Sequence[int]) -> dict[str, float]:
    """Give Recall@K in percent, and the median and the mean rank.

    A query whose right candidate ties counts with the share of orders in which it is found; its
    rank is the mean of its places. A K larger than the number of candidates counts every query.

    Args:
        places: The places of the right candidates.
        recall_at: The cut-offs K.

    Raises:
        ValueError: If there are no places.

    Example:
        >>> places_q = torch.tensor([1, 1, 4, 30])
        >>> summarize_places(Places(places_q, places_q), recall_at=(1, 5))
        {'R@1': 50.0, 'R@5': 75.0, 'median_rank': 2.5, 'mean_rank': 9.0}
    """
    if not len(places.best_q):
        raise ValueError("there are no places to summarize; the benchmark has no queries")
    summary = {f"R@{k}": 100.0 * places.share_within(k).mean().item() for k in recall_at}
    summary["median_rank"] = float(np.median(places.mean_q.numpy()))
    summary["mean_rank"] = places.mean_q.mean().item()
    return summary


def score_retrieval(
    embeddings: Path, *, settings: EvaluationConfig, output: Path, tracker: Tracker
) -> None:
    """Rank a benchmark by each score of the settings and write the recalls as JSON.

    Args:
        embeddings: File that ``save_embeddings`` wrote.
        settings: Which scores, which recalls.
        output: The JSON file: what was ranked, and for each score both directions.
        tracker: Takes every number as ``score/direction/name``.

    Raises:
        ValueError: If the embeddings are not whole, or lack a modality that a score needs.
    """
    benchmark = load_embeddings(embeddings)
    results = {
        score: _score(benchmark, score=score, recall_at=settings.recall_at)
        for score in settings.scores
    }
    write_scores(
        BenchmarkScores(
            run=benchmark.run,
            benchmark=benchmark.benchmark,
            dataset=benchmark.dataset,
            split=benchmark.split,
            modalities=benchmark.modalities,
            gallery=len(benchmark.clip_ids),
            queries=len(benchmark.queries),
            counts=benchmark.counts,
            trained_on=benchmark.trained_on,
            origin=benchmark.origin,
            clip_ids=benchmark.clip_ids,
            scores=results,
        ),
        output,
    )
    for name, result in results.items():
        tracker.metrics({f"{name}/text_to_item/{key}": x for key, x in result.text_to_item.items()})
        tracker.metrics({f"{name}/item_to_text/{key}": x for key, x in result.item_to_text.items()})
    score, recall = settings.scores[0], f"R@{settings.recall_at[0]}"
    log.info(
        "%s on %s: %d queries, %d clips; by %s %s is %.1f %% text to item, %.1f %% item to text",
        benchmark.run,
        benchmark.benchmark,
        len(benchmark.queries),
        len(benchmark.clip_ids),
        score,
        recall,
        results[score].text_to_item[recall],
        results[score].item_to_text[recall],
    )


def _score(
    benchmark: BenchmarkEmbeddings, *, score: ScoreName, recall_at: Sequence[int]
) -> ScoreResult:
    places = rank_retrieval(
        score,
        benchmark.text_qd,
        text_clip_q=benchmark.text_clip_q,
        vectors_nkd=benchmark.vectors_nkd,
        present_nk=benchmark.present_nk,
        modalities=benchmark.modalities,
    )
    return ScoreResult(
        near_is=near_is(score),
        text_to_item=summarize_places(places.text_to_item, recall_at=recall_at),
        item_to_text=summarize_places(places.item_to_text, recall_at=recall_at),
    )
