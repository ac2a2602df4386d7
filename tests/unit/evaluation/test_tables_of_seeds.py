"""Lines of tables over runs of several seeds: mean and standard deviation."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from gram.config import TableConfig, TableRow
from gram.evaluation.references import Published
from gram.evaluation.tables import make_table
from gram.tracking import Tracker

WriteScores = Callable[..., Path]

SEEDED = TableRow(run="tva", members=("tva_seed0", "tva_seed1", "tva_seed2"), benchmark="toys")
PAPER = Published(who="paper", percent=27.5, source="a table", confidence="seen-once")


def _make(folder: Path, row: TableRow, scores: list[Path]) -> dict[str, str]:
    make_table(
        TableConfig(title="x", rows=(row,)),
        scores=scores,
        references={("gram", "text_to_item", "R@1"): [PAPER]},
        csv=folder / "x.csv",
        tracker=Tracker(),
    )
    return {kind: (folder / f"x.{kind}").read_text(encoding="utf-8") for kind in ("csv", "md")}


@pytest.fixture
def of_seeds(write_scores_of: WriteScores, tmp_path: Path) -> dict[str, str]:
    """Make a table of one line over three seeds: 20, 25 and 33 %, with published numbers."""
    paths = [
        write_scores_of(name, recall=recall)
        for name, recall in zip(SEEDED.runs, (20.0, 25.0, 33.0), strict=True)
    ]
    row = SEEDED.model_copy(update={"label": "ours", "reference": "gram"})
    return _make(tmp_path, row, paths)


def test_a_line_of_seeds_has_mean_and_standard_deviation(of_seeds: dict[str, str]) -> None:
    (row,) = csv.DictReader(of_seeds["csv"].splitlines())
    assert (row["text_to_item_R@1"], row["text_to_item_R@1_spread"]) == ("26.0", "6.5574")
    assert (row["run"], row["runs"]) == ("tva", "tva_seed0 tva_seed1 tva_seed2")


def test_a_line_of_seeds_has_no_interval_and_no_mark(of_seeds: dict[str, str]) -> None:
    (row,) = csv.DictReader(of_seeds["csv"].splitlines())
    beside = [row[f"text_to_item_R@1_{what}"] for what in ("low", "high", "difference", "mark")]
    assert beside == ["", "", "-1.5", ""]


def test_a_reader_sees_the_spread(of_seeds: dict[str, str]) -> None:
    assert "26.0 ± 6.6" in of_seeds["md"]
    assert "standard deviation over 3 runs that differ in their seed alone" in of_seeds["md"]


def test_a_seed_without_scores_is_named(write_scores_of: WriteScores, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names tva_seed1 on toys, whose scores were not given"):
        _make(tmp_path, SEEDED, [write_scores_of("tva_seed0")])


def test_a_partial_table_says_which_seeds_are_missing(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    table = TableConfig(title="x", rows=(SEEDED, TableRow(run="tv", benchmark="toys")))
    make_table(
        table,
        scores=[write_scores_of("tva_seed0"), write_scores_of("tv")],
        references={},
        csv=tmp_path / "x.csv",
        tracker=Tracker(),
        is_partial=True,
    )
    told = (tmp_path / "x.md").read_text(encoding="utf-8")
    missing = "results/scores/tva_seed1/toys.json results/scores/tva_seed2/toys.json makes"
    assert missing in told.replace("\\", "")
