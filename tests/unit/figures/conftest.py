"""A small benchmark, embedded, scored and re-ranked, for every figure."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gram.config import EvaluationConfig, ProtocolConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
from gram.evaluation.scoring import score_retrieval
from gram.jobs import ScoreSettings
from gram.tracking import Tracker
from tests.unit.evaluation.conftest import make_embeddings, pack_clips, write_scores_of
from tests.unit.report.pages import read_pairs

__all__ = ["make_embeddings", "pack_clips", "write_scores_of"]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Files of one run on a benchmark."""

    embeddings: Path
    scores: Path
    places: Path
    matches: Path
    settings: ScoreSettings


@pytest.fixture
def score_run(
    tmp_path: Path, make_embeddings: Callable[..., BenchmarkEmbeddings]
) -> Callable[..., Scored]:
    """Give a function that embeds, re-ranks and scores a run."""

    def score(run: str, **changes: object) -> Scored:
        folder = tmp_path / run
        embedded = make_embeddings(run=run, **changes)
        save_embeddings(embedded, folder / "embeddings")
        read_pairs(embedded, folder / "matches.parquet", keep=5)
        settings = ScoreSettings(
            benchmark="toys",
            protocol=ProtocolConfig(captions="all"),
            evaluation=EvaluationConfig(scores=("volume", "volume+rerank"), resamples=200),
        )
        score_retrieval(
            folder / "embeddings",
            fit_folder=None,
            matches=folder / "matches.parquet",
            settings=settings,
            scores=folder / "toys.json",
            places=folder / "toys.parquet",
            tracker=Tracker(),
        )
        return Scored(
            embeddings=folder / "embeddings",
            scores=folder / "toys.json",
            places=folder / "toys.parquet",
            matches=folder / "matches.parquet",
            settings=settings,
        )

    return score


@pytest.fixture
def classified(tmp_path: Path, make_embeddings: Callable[..., BenchmarkEmbeddings]) -> Path:
    """Embed 30 clips of three classes and one of a fourth; clips of a class lie near each other."""
    embedded = make_embeddings(clips=31, noise=0.3)
    group_n = torch.arange(31) % 3
    group_n[30] = 3
    random = torch.Generator().manual_seed(0)
    centers = torch.nn.functional.normalize(torch.randn(4, 16, generator=random), dim=-1)

    def near(vectors_nd: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(centers[group_n] + 0.3 * vectors_nd, dim=-1)

    save_embeddings(
        replace(
            embedded,
            task="classification",
            queries=("dog", "a cat that purrs all day", "rain", "one"),
            text_qd=centers,
            text_group_q=torch.arange(4),
            clip_group_n=group_n,
            vectors_nd={name: near(one) for name, one in embedded.vectors_nd.items()},
        ),
        tmp_path / "classified",
    )
    return tmp_path / "classified"


@pytest.fixture
def index_of_lengths(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes an index with the length of each clip; None: not known."""

    def write(seconds: list[float | None]) -> Path:
        path = tmp_path / "index.parquet"
        columns = {
            "clip_id": [f"test_{clip:04d}" for clip in range(len(seconds))],
            "start_seconds": pa.nulls(len(seconds), pa.float64()),
            "end_seconds": pa.nulls(len(seconds), pa.float64()),
            "duration_seconds": pa.array(seconds, pa.float64()),
        }
        pq.write_table(pa.table(columns), path)
        return path

    return write


def read_rows(svg: Path) -> list[dict[str, str]]:
    """Read the numbers beside a figure."""
    with svg.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
