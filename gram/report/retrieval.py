"""The retrieval page of one run on one benchmark: queries and what they find, worst first."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

import gram
from gram.config import ReportConfig, parse_score
from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings
from gram.evaluation.fitted import Direction, directions
from gram.evaluation.fitting import fit_score
from gram.evaluation.match_table import read_matches
from gram.evaluation.place_table import read_places
from gram.evaluation.protocol import choose
from gram.evaluation.ranked import RankedSet
from gram.evaluation.rerank import LARGEST_LOG_ODDS, Matches, after_reading
from gram.evaluation.results import BenchmarkScores, read_scores
from gram.files import write_text
from gram.jobs import PageSettings
from gram.report.found import Candidate, Query, choose_records, find_queries
from gram.report.html import asset, environment, inline, policy
from gram.report.thumbnails import Clip, read_clips

log = logging.getLogger(__name__)

DIRECTIONS = {"text_to_item": "text → clip", "item_to_text": "clip → text"}
"""Which way is searched, and as a reader sees it."""

TEXT_CHARACTERS = 400
"""Longer texts are cut there, so that a page stays small whatever the captions are."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A query or a candidate, as it is shown.

    Attributes:
        text: Caption, or name of a class.
        clip_id: The clip, or that of the text; none of a class.
        picture: Number of its picture on the page; none: it has none.
    """

    text: str
    clip_id: str | None
    picture: int | None


@dataclass(frozen=True, kw_only=True)
class ShownCandidate:
    """A candidate of a query: what it is, its place, its score in words, whether it is right."""

    entry: Entry
    place: int
    score: str
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class ShownQuery:
    """A query: what it is, its rank, whether it found the right one first, its candidates."""

    entry: Entry
    rank: str
    is_first: bool
    candidates: tuple[ShownCandidate, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Queries of one score in one direction.

    Attributes:
        score: Name of the score.
        direction: Which way is searched.
        near_is: Which end of the score is near.
        queries: Those that are shown, worst place first.
        total: Number of queries that were asked.
        failures: Number of those whose right candidate has not the first place alone.
        candidates: Number of candidates of each.
    """

    score: str
    direction: str
    near_is: str
    queries: tuple[Query, ...]
    total: int
    failures: int
    candidates: int


@dataclass(frozen=True, kw_only=True)
class View:
    """One score in one direction, as it is shown.

    Attributes:
        found: What is shown.
        title: Score and direction.
        recalls: Recalls with intervals, in words.
        queries: The queries.
    """

    found: Found
    title: str
    recalls: str
    queries: tuple[ShownQuery, ...]


def show_retrieval(
    settings: PageSettings,
    *,
    scores: Path,
    embeddings: Path,
    fit_folder: Path | None,
    matches: Path | None,
    index: Path,
    output: Path,
) -> None:
    """Write the page: for each score and direction the worst failures and a sample of the rest.

    A score that was fitted on halves of the clips is left out, and the page says so: each of its
    queries was asked in several galleries, and has no one list.

    Args:
        settings: Which scores, how many queries, candidates and pixels, the protocol.
        scores: The scores file, with the places of all queries beside it.
        embeddings: Folder of the embeddings that are ranked.
        fit_folder: Folder of those that scores are fitted on; none: no split is.
        matches: What the matching head read; none: no score is re-ranked.
        index: The shards index of the benchmark's data set; pictures are read from its shards.
        output: The page, one HTML file that loads nothing.

    Raises:
        ValueError: If an input lacks what the page needs.
    """
    result = read_scores(scores)
    chosen = choose(load_embeddings(embeddings), settings.protocol).embeddings
    fitted_on = None if fit_folder is None else load_embeddings(fit_folder).ranked
    read = {} if matches is None else read_matches(matches)
    left_out = [name for name in settings.shown_scores if _is_on_halves(result, name)]
    places = scores.with_suffix(".parquet")
    found = [
        one
        for name in settings.shown_scores
        if name not in left_out
        for one in _find(
            name,
            chosen.ranked,
            fitted_on=fitted_on,
            matches=read.get(name),
            places=places,
            settings=settings.report,
        )
    ]
    wanted = {clip_id for one in found for clip_id in _clips_of(one, chosen)}
    clips = read_clips(index, wanted, pixels=settings.report.thumbnail_pixels)
    write_text(
        output, _render(result, found, chosen, clips=clips, left_out=left_out, settings=settings)
    )
    log.info("%s: %d views, %d clips", output, len(found), len(clips))


def _is_on_halves(result: BenchmarkScores, name: str) -> bool:
    if name not in result.scores:
        raise ValueError(
            f"the scores of {result.run} on {result.benchmark} lack {name!r}; they hold "
            f"{', '.join(result.scores) or 'none'}; add it to evaluation.scores of the run"
        )
    fit = result.scores[name].fit
    return fit is not None and fit.split is None


def _find(
    name: str,
    ranked: RankedSet,
    *,
    fitted_on: RankedSet | None,
    matches: Matches | None,
    places: Path,
    settings: ReportConfig,
) -> Iterator[Found]:
    """Give what is shown of one score, in both directions."""
    spec = parse_score(name)
    score = fit_score(spec, ranked if fitted_on is None else fitted_on)
    both = directions(score, ranked)
    number_n = torch.full((len(ranked.vectors_nkd),), -1)
    number_n[both.asked_n] = torch.arange(len(both.asked_n))
    for way in DIRECTIONS:
        direction: Direction = getattr(both, way)
        if spec.is_reranked:
            if matches is None:
                raise ValueError(f"the score {name!r} needs pairs that the matching head read")
            direction = after_reading(direction, getattr(matches, way))
        asked, _ = read_places(places, score=name, direction=way)
        records = choose_records(asked.places, failures=settings.failures, others=settings.others)
        rows = asked.query_r if way == "text_to_item" else number_n[asked.query_r]
        queries = find_queries(
            direction, asked.places, query_rows=rows, records=records, count=settings.retrieved
        )
        yield Found(
            score=name,
            direction=way,
            near_is=score.near_is,
            queries=queries,
            total=len(rows),
            failures=int((asked.places.worst_q > 1).sum()),
            candidates=asked.candidates,
        )


def _clip_of_text(embeddings: BenchmarkEmbeddings, row: int) -> str | None:
    """Name the clip of a text; a class has none."""
    if embeddings.task == "classification":
        return None
    return embeddings.clip_ids[int(embeddings.text_group_q[row])]


def _clips_of(found: Found, embeddings: BenchmarkEmbeddings) -> Iterator[str]:
    """Name the clips that are seen beside queries and candidates."""
    rows = {one.row for query in found.queries for one in query.candidates}
    asked = {query.row for query in found.queries}
    texts, clips = (asked, rows) if found.direction == "text_to_item" else (rows, asked)
    yield from (embeddings.clip_ids[row] for row in clips)
    if found.direction == "item_to_text":
        named = (_clip_of_text(embeddings, row) for row in texts)
        yield from (clip_id for clip_id in named if clip_id is not None)


def _render(
    result: BenchmarkScores,
    found: list[Found],
    embeddings: BenchmarkEmbeddings,
    *,
    clips: Mapping[str, Clip],
    left_out: list[str],
    settings: PageSettings,
) -> str:
    pictures = [clip for clip in clips.values() if clip.jpeg is not None]
    numbers = {clip.clip_id: number for number, clip in enumerate(pictures)}
    drawn = [
        f".t{number}{{background-image:url(data:image/jpeg;base64,{clip.jpeg})}}"
        for number, clip in enumerate(pictures)
    ]
    style = "\n".join([asset("base.css"), asset("retrieval.css"), *drawn])
    script = asset("retrieval.js")
    views = [_view(one, result, embeddings, clips=clips, numbers=numbers) for one in found]
    return (
        environment()
        .get_template("retrieval.html.j2")
        .render(
            version=gram.__version__,
            policy=policy(style=style, script=script),
            style=inline(style),
            script=inline(script),
            result=result,
            views=views,
            left_out=left_out,
            settings=settings.report,
            pictures=len(pictures),
            text_characters=TEXT_CHARACTERS,
        )
    )


def _view(
    found: Found,
    result: BenchmarkScores,
    embeddings: BenchmarkEmbeddings,
    *,
    clips: Mapping[str, Clip],
    numbers: Mapping[str, int],
) -> View:
    """Put words and pictures in place of rows."""
    is_to_item = found.direction == "text_to_item"

    def clip_entry(row: int) -> Entry:
        clip = clips[embeddings.clip_ids[row]]
        return Entry(
            text=_cut(clip.caption), clip_id=clip.clip_id, picture=numbers.get(clip.clip_id)
        )

    def text_entry(row: int) -> Entry:
        clip_id = _clip_of_text(embeddings, row)
        picture = None if is_to_item or clip_id is None else numbers.get(clip_id)
        return Entry(text=_cut(embeddings.queries[row]), clip_id=clip_id, picture=picture)

    asked, given = (text_entry, clip_entry) if is_to_item else (clip_entry, text_entry)
    queries = tuple(
        ShownQuery(
            entry=asked(query.row),
            rank=query.rank,
            is_first=query.is_first,
            candidates=tuple(
                ShownCandidate(
                    entry=given(one.row),
                    place=one.place,
                    score=_score_text(one, found.score),
                    is_right=one.is_right,
                )
                for one in query.candidates
            ),
        )
        for query in found.queries
    )
    return View(
        found=found,
        title=f"{found.score}, {DIRECTIONS[found.direction]}",
        recalls=_recalls(result, found),
        queries=queries,
    )


def _recalls(result: BenchmarkScores, found: Found) -> str:
    score = result.scores[found.score]
    values: Mapping[str, float] = getattr(score, found.direction)
    parts = []
    for name in (name for name in values if name.startswith("R@")):
        low, high = score.intervals[found.direction][name]
        parts.append(f"{name} {values[name]:.1f} % ({low:.1f} to {high:.1f})")
    return ", ".join(parts)


def _score_text(candidate: Candidate, score: str) -> str:
    """Write a score; of a re-ranked one the probability of a match, where the pair was read."""
    if not parse_score(score).is_reranked:
        return f"{candidate.score:.3f}"
    if candidate.score < -LARGEST_LOG_ODDS:
        return "not read"
    match = torch.tensor(candidate.score, dtype=torch.float64).sigmoid()
    return f"match {100 * float(match):.1f} %"


def _cut(text: str) -> str:
    """Cut a text that is too long, with an ellipsis at its end."""
    return text if len(text) <= TEXT_CHARACTERS else f"{text[: TEXT_CHARACTERS - 1]}…"
