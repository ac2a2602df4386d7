"""Each figure's numbers against the same, counted otherwise; and what is said where it fails."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gram.config import EvaluationConfig, ProtocolConfig
from gram.evaluation.embeddings import load_embeddings
from gram.evaluation.results import read_scores
from gram.figures.account import draw_account
from gram.figures.checkpoints import draw_checkpoints
from gram.figures.classes import draw_classes
from gram.figures.modalities import draw_modalities
from gram.figures.reranking import draw_reranking
from gram.figures.strata import draw_strata
from gram.figures.style import read_words
from gram.figures.volumes import draw_volumes
from gram.jobs import ClipUse, StrataSettings
from gram.types import Modality
from gram.volume import gram_volume
from tests.unit.figures.conftest import Scored, read_rows

ALL = ProtocolConfig(captions="all")
BY_VOLUME = StrataSettings(drawn_score="volume", evaluation=EvaluationConfig(resamples=200))
ScoreRun = Callable[..., Scored]


def matched_volumes(folder: Path) -> np.ndarray:
    """Give the volumes of captions with their own clips, tuple by tuple."""
    embedded = load_embeddings(folder)
    items_qkd = embedded.vectors_nkd[embedded.text_group_q]
    tuples_qjd = torch.cat([embedded.text_qd.unsqueeze(1), items_qkd], dim=1)
    return gram_volume(tuples_qjd).numpy()


# --- volumes ----------------------------------------------------------------------------------


def test_all_pairs_stand_in_the_bins_of_volumes(score_run: ScoreRun, tmp_path: Path) -> None:
    svg = tmp_path / "volumes.svg"
    draw_volumes(score_run("volume_tva", captions=2).embeddings, protocol=ALL, svg=svg)
    rows = pd.read_csv(svg.with_suffix(".csv"))
    assert rows["matched_percent"].sum() == pytest.approx(100)
    assert rows["unmatched_percent"].sum() == pytest.approx(100)


def test_a_matched_pair_is_told_to_be_nearer(score_run: ScoreRun, tmp_path: Path) -> None:
    svg = tmp_path / "volumes.svg"
    draw_volumes(score_run("volume_tva", noise=0.01).embeddings, protocol=ALL, svg=svg)
    assert "has the smaller volume 100.0 % of the time" in read_words(svg).caption


def test_a_gallery_of_one_clip_has_no_unmatched_pairs(score_run: ScoreRun, tmp_path: Path) -> None:
    svg = tmp_path / "volumes.svg"
    draw_volumes(score_run("volume_tva", clips=1).embeddings, protocol=ALL, svg=svg)
    assert "the time" not in read_words(svg).caption
    assert all(row["unmatched_percent"] == "0.0" for row in read_rows(svg))


# --- checkpoints ------------------------------------------------------------------------------


@pytest.fixture
def checkpoints(score_run: ScoreRun, tmp_path: Path) -> tuple[list[Scored], Path]:
    """Draw five checkpoints of which the noisier ones find less, and one of one modality."""
    runs = [score_run(f"run_{i}", noise=0.3 + 0.3 * i, clips=24) for i in range(5)]
    runs.append(score_run("single", modalities=(Modality.VIDEO,)))
    svg = tmp_path / "checkpoints.svg"
    draw_checkpoints(
        [run.scores for run in runs],
        folders=[run.embeddings for run in runs],
        protocol=ALL,
        svg=svg,
    )
    return runs, svg


def test_a_checkpoint_has_its_mean_volume_and_recall(
    checkpoints: tuple[list[Scored], Path],
) -> None:
    runs, svg = checkpoints
    for run, row in zip(runs, read_rows(svg), strict=True):
        mean = matched_volumes(run.embeddings).mean()
        assert float(row["one_minus_mean_volume"]) == pytest.approx(1 - mean, abs=1e-4)
        score = read_scores(run.scores).scores["volume"]
        assert float(row["R@1"]) == pytest.approx(score.text_to_item["R@1"])


def test_each_choice_of_modalities_has_its_own_coefficient(
    checkpoints: tuple[list[Scored], Path],
) -> None:
    caption = read_words(checkpoints[1]).caption
    assert "TVA: r = 0." in caption
    assert "5 points" in caption
    assert "TV: no r of 1 point" in caption


def test_a_run_that_volume_did_not_rank_is_named(
    write_scores_of: Callable[..., Path], score_run: ScoreRun, tmp_path: Path
) -> None:
    scores = write_scores_of("odd", scores={})
    with pytest.raises(ValueError, match="no R@1 by volume; add volume to"):
        draw_checkpoints(
            [scores], folders=[score_run("odd").embeddings], protocol=ALL, svg=tmp_path / "x.svg"
        )


# --- modalities -------------------------------------------------------------------------------


def test_runs_of_fewer_modalities_stand_first(score_run: ScoreRun, tmp_path: Path) -> None:
    scores = [score_run("tva").scores, score_run("tv", modalities=(Modality.VIDEO,)).scores]
    svg = tmp_path / "modalities.svg"
    draw_modalities(scores, svg=svg)
    rows = read_rows(svg)
    assert [(row["run"], row["series"]) for row in rows] == [
        ("tv", "R@1"),
        ("tv", "R@10"),
        ("tva", "R@1"),
        ("tva", "R@10"),
    ]
    assert all(float(row["low"]) <= float(row["percent"]) <= float(row["high"]) for row in rows)


def test_runs_without_volume_have_no_bars(
    write_scores_of: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="odd was not ranked by volume on toys; add volume"):
        draw_modalities([write_scores_of("odd", scores={})], svg=tmp_path / "x.svg")


# --- re-ranking -------------------------------------------------------------------------------


def test_recall_at_each_k_lies_between_both_scores(score_run: ScoreRun, tmp_path: Path) -> None:
    run = score_run("volume_tva", clips=20, captions=2)
    svg = tmp_path / "reranking.svg"
    draw_reranking(run.embeddings, matches=run.matches, settings=run.settings, svg=svg)
    rows = [row for row in read_rows(svg) if row["direction"] == "text_to_item"]
    scores = read_scores(run.scores).scores
    assert [row["K"] for row in rows] == ["0", "1", "2", "5"]
    first, last = float(rows[0]["percent"]), float(rows[-1]["percent"])
    assert first == pytest.approx(scores["volume"].text_to_item["R@1"])
    assert float(rows[1]["percent"]) == pytest.approx(first)  # one candidate cannot be reordered
    assert last == pytest.approx(scores["volume+rerank"].text_to_item["R@1"])


def test_pairs_of_other_embeddings_are_told(score_run: ScoreRun, tmp_path: Path) -> None:
    run, other = score_run("volume_tva", noise=1.5), score_run("other", noise=1.5)
    with pytest.raises(ValueError, match="other pairs were read than the best of the first score"):
        draw_reranking(
            run.embeddings, matches=other.matches, settings=run.settings, svg=tmp_path / "x.svg"
        )


# --- lengths ----------------------------------------------------------------------------------


def test_strata_hold_every_query_once(
    score_run: ScoreRun, index_of_lengths: Callable[..., Path], tmp_path: Path
) -> None:
    run = score_run("volume_tva", clips=12, captions=2)
    svg, index = tmp_path / "strata.svg", index_of_lengths([float(i) for i in range(12)])
    draw_strata(run.places, index=index, settings=BY_VOLUME, svg=svg)
    rows = pd.read_csv(svg.with_suffix(".csv"))
    whole = read_scores(run.scores).scores["volume"].text_to_item["R@1"]
    for _, part in rows.groupby("by"):
        assert part["queries"].sum() == 24
        mean = (part["percent"] * part["queries"]).sum() / 24
        assert mean == pytest.approx(whole)


def test_clips_without_a_length_are_counted(
    score_run: ScoreRun, index_of_lengths: Callable[..., Path], tmp_path: Path
) -> None:
    run, svg = score_run("volume_tva"), tmp_path / "strata.svg"
    index = index_of_lengths([2.0] * 9 + [None] * 3)
    draw_strata(run.places, index=index, settings=BY_VOLUME, svg=svg)
    (row,) = [row for row in read_rows(svg) if row["by"] == "seconds of the clip"]
    assert (row["label"], row["queries"]) == ("2", "9")
    assert "3 queries whose clip has no known length" in read_words(svg).caption


# --- classes ----------------------------------------------------------------------------------


def test_classes_that_lie_apart_have_high_silhouettes(classified: Path, tmp_path: Path) -> None:
    svg = tmp_path / "classes.svg"
    draw_classes(classified, protocol=ProtocolConfig(task="classification"), svg=svg)
    rows = pd.read_csv(svg.with_suffix(".csv"))
    assert len(rows) == 30  # the class of one clip has no silhouette
    assert rows["silhouette_mean"].mean() > 0.5
    assert {"silhouette_video", "silhouette_audio"} <= set(rows.columns)
    assert f"mean {rows['silhouette_mean'].mean():.3f}" in read_words(svg).caption


def test_captions_are_no_classes(score_run: ScoreRun, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only a classification has classes"):
        draw_classes(score_run("tva").embeddings, protocol=ALL, svg=tmp_path / "x.svg")


# --- account ----------------------------------------------------------------------------------


def test_lost_clips_are_counted_and_listed(pack_clips: Callable[..., Path], tmp_path: Path) -> None:
    use = ClipUse(
        run="tva",
        purpose="evaluation",
        dataset="toys",
        split="test",
        modalities=(Modality.VIDEO, Modality.AUDIO),
        missing="drop",
    )
    svg, lost = tmp_path / "account.svg", tmp_path / "lost.csv"
    index = pack_clips(tmp_path / "shards", captions=["one", "two", "three"])
    draw_account("toys", index=index, uses=(use,), svg=svg, lost=lost)
    steps = {row["step"]: (row["clips"], row["lost"]) for row in read_rows(svg)}
    assert steps["listed"] == ("4", "0")
    assert steps["readable"] == ("3", "1")
    assert steps["used in evaluation, TVA drop"] == ("3", "1")
    (row,) = pd.read_csv(lost).to_dict("records")
    assert (row["clip_id"], row["stage"], row["status"]) == ("test_0003", "extract", "truncated")
    assert "Not usable: 1 (extract 1)." in read_words(svg).caption


def test_an_index_without_clips_cannot_be_drawn(tmp_path: Path) -> None:
    columns = ("split", "status", "stage", "subtitle_reason", "depth_status")
    has = ("has_video", "has_audio", "has_subtitle", "has_depth")
    empty = {name: pa.nulls(0, pa.string()) for name in columns}
    empty |= {name: pa.nulls(0, pa.bool_()) for name in has}
    pq.write_table(pa.table(empty), tmp_path / "index.parquet")
    with pytest.raises(ValueError, match="lists no clip; look at the annotations of toys"):
        draw_account(
            "toys",
            index=tmp_path / "index.parquet",
            uses=(),
            svg=tmp_path / "x.svg",
            lost=tmp_path / "lost.csv",
        )
