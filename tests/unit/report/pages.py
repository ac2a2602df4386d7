"""Retrieval pages of small benchmarks, made for tests."""

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from gram.config import EvaluationConfig, ProtocolConfig, ReportConfig, parse_score
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
from gram.evaluation.fitted import directions, plain_score
from gram.evaluation.match_table import write_matches
from gram.evaluation.rerank import BestPairs, Matches, best_candidates
from gram.evaluation.scoring import score_retrieval
from gram.jobs import PageSettings, ScoreSettings
from gram.report.retrieval import show_retrieval
from gram.tracking import Tracker

NASTY = '<script>document.title = "hit"</script> "quoted" \'too\' & <b onclick=x>'
NASTY_ID = '"><img src=x onerror="document.title = \'hit\'">.mp4'

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would see: tags, addresses, text; and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        """Read the whole page."""
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and where it leads."""
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in _LOADING]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Check that it closes the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)


_LOADING = {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}


def name_clips(embeddings: BenchmarkEmbeddings, index: Path, *, first: str) -> BenchmarkEmbeddings:
    """Give the first clip another name, in the index of the shards too."""
    table = pq.read_table(index)
    ids = [first, *table["clip_id"].to_pylist()[1:]]
    column = table.schema.names.index("clip_id")
    pq.write_table(table.set_column(column, "clip_id", pa.array(ids)), index)
    return replace(embeddings, clip_ids=(first, *embeddings.clip_ids[1:]))


def read_pairs(embeddings: BenchmarkEmbeddings, path: Path, *, keep: int) -> None:
    """Write that the head matches best what has the first place by volume."""
    both = directions(plain_score("volume"), embeddings.ranked)
    read = []
    for way in (both.text_to_item, both.item_to_text):
        candidate_qk = best_candidates(way, keep=keep)
        falling_k = torch.linspace(0.9, 0.1, candidate_qk.shape[1])
        read.append(BestPairs(candidate_qk, falling_k.expand(len(candidate_qk), -1)))
    write_matches({"volume+rerank": Matches(*read)}, path)


def make_page(
    folder: Path,
    embeddings: BenchmarkEmbeddings,
    index: Path,
    *,
    scores: tuple[str, ...] = ("volume",),
    fitted_on: BenchmarkEmbeddings | None = None,
    **settings: Any,  # noqa: ANN401 - of the report
) -> str:
    """Score a benchmark, make its page and read it."""
    save_embeddings(embeddings, folder / "embeddings")
    if fitted_on is not None:
        save_embeddings(fitted_on, folder / "fitted")
    matches = folder / "matches.parquet"
    is_reranked = any(parse_score(name).is_reranked for name in scores)
    if is_reranked:
        read_pairs(embeddings, matches, keep=3)
    protocol = ProtocolConfig(fit_split=None if fitted_on is None else "train")
    score_retrieval(
        folder / "embeddings",
        fit_folder=None if fitted_on is None else folder / "fitted",
        matches=matches if is_reranked else None,
        settings=ScoreSettings(
            benchmark="toys",
            protocol=protocol,
            evaluation=EvaluationConfig(scores=scores, recall_at=(1, 5), halves=2),
        ),
        scores=folder / "toys.json",
        places=folder / "toys.parquet",
        tracker=Tracker(),
    )
    page = folder / "report/retrieval/run/toys.html"
    show_retrieval(
        PageSettings(report=ReportConfig(**settings), protocol=protocol, shown_scores=scores),
        scores=folder / "toys.json",
        embeddings=folder / "embeddings",
        fit_folder=None if fitted_on is None else folder / "fitted",
        matches=matches if is_reranked else None,
        index=index,
        output=page,
    )
    return page.read_text(encoding="utf-8")


MakeEmbeddings = Callable[..., BenchmarkEmbeddings]
PackClips = Callable[..., Path]
