"""Tables of the report, beside the paper's numbers and those of others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gram.config import TableConfig, TableRow
from gram.evaluation.references import Published
from gram.evaluation.table_notes import index_results
from gram.evaluation.tables import make_table
from gram.report.tables import ShownTable, show_table
from gram.tracking import Tracker

WriteScores = Callable[..., Path]
THEIRS = {
    ("gram", "text_to_item", "R@1"): [
        Published(who="paper", percent=27.0, source="", confidence=""),
        Published(who="SCA, released checkpoint", percent=24.0, source="", confidence=""),
        Published(who="HyperAlign", percent=23.5, source="", confidence=""),
    ],
    ("gram", "item_to_text", "R@1"): [
        Published(who="paper", percent=40.0, source="", confidence="")
    ],
}
ROWS = (
    TableRow(run="tv", benchmark="toys"),
    TableRow(run="tva", benchmark="toys", label="ours", reference="gram"),
)


@pytest.fixture
def shown(write_scores_of: WriteScores, tmp_path: Path) -> ShownTable:
    scores = [write_scores_of("tv", recall=20.0), write_scores_of("tva")]
    config, csv = TableConfig(title="x", rows=ROWS), tmp_path / "demo.csv"
    make_table(config, scores=scores, references=THEIRS, csv=csv, tracker=Tracker())
    return show_table(config, csv, index_results(scores))


def test_a_recall_stands_beside_what_others_found(shown: ShownTable) -> None:
    to_item, to_text = shown.compared
    assert (to_item.line, to_item.recall) == ("ours", "T→item R@1")
    assert to_item.ours == "25.0 (22.0 to 28.0)"
    assert (to_item.paper, to_item.difference, to_item.mark) == ("27.0", "-2.0", "inside")
    assert to_item.reruns == ("SCA, released checkpoint 24", "HyperAlign 23.5")
    assert (to_text.paper, to_text.difference, to_text.mark) == ("40.0", "-15.0", "below")
    assert to_text.reruns == ()


def test_whose_numbers_they_are_is_told(shown: ShownTable) -> None:
    assert "Re-runs are those of SCA, released checkpoint, HyperAlign." in shown.notes


def test_the_best_of_a_gallery_is_marked(shown: ShownTable) -> None:
    assert [[cell.is_best for cell in line.recalls] for line in shown.lines] == [
        [False] * 4,
        [True] * 4,
    ]


def test_a_recall_has_its_interval_below_it(shown: ShownTable) -> None:
    assert shown.lines[1].recalls[0].text == "25.0"
    assert shown.lines[1].recalls[0].beside == "(22.0 to 28.0)"


def test_the_mean_over_seeds_has_its_spread(write_scores_of: WriteScores, tmp_path: Path) -> None:
    members = ("tva_seed0", "tva_seed1")
    scores = [write_scores_of(run, recall=20.0 + 4 * i) for i, run in enumerate(members)]
    row = TableRow(run="tva", members=members, benchmark="toys", reference="gram")
    config, csv = TableConfig(title="x", rows=(row,)), tmp_path / "demo.csv"
    make_table(config, scores=scores, references=THEIRS, csv=csv, tracker=Tracker())
    table = show_table(config, csv, index_results(scores))
    assert (table.lines[0].recalls[0].text, table.lines[0].recalls[0].beside) == ("22.0", "± 2.8")
    assert table.compared[0].ours == "22.0 ± 2.8"
