import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gram.config import TableConfig, TableRow
from gram.evaluation.results import ScoreResult
from gram.evaluation.tables import (
    escape_latex,
    escape_markdown,
    index_results,
    make_table,
    table_notes,
    table_warnings,
)
from gram.tracking import Silence
from gram.types import Modality
from tests.unit.evaluation.conftest import around

WriteScores = Callable[..., Path]


class Notebook:
    """A tracker that keeps the files that it gets."""

    def __init__(self) -> None:
        """Begin with none."""
        self.files: list[Path] = []

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Refuse: a table is no number."""
        raise AssertionError(values)

    def artifact(self, path: Path) -> None:
        """Keep a file."""
        assert path.is_file()
        self.files.append(path)


def _table(*runs: str, label: str | None = None, note: str = "") -> TableConfig:
    rows = tuple(TableRow(run=run, benchmark="toys", label=label) for run in runs)
    return TableConfig(title="Toys & more", rows=rows, note=note)


def _make(folder: Path, table: TableConfig, *scores: Path) -> dict[str, str]:
    paths = {kind: folder / f"demo.{kind}" for kind in ("csv", "md", "tex")}
    make_table(
        table,
        scores=scores,
        csv=paths["csv"],
        markdown=paths["md"],
        latex=paths["tex"],
        tracker=Silence(),
    )
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items()}


def _result(values: dict[str, float]) -> ScoreResult:
    return ScoreResult(
        near_is="small",
        gallery=12,
        text_to_item=values,
        item_to_text=values,
        ties_won={},
        intervals={name: around(values) for name in ("text_to_item", "item_to_text")},
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split(" | ")]


def test_the_csv_has_the_agreed_columns(write_scores_of: WriteScores, tmp_path: Path) -> None:
    made = _make(tmp_path, _table("tva"), write_scores_of("tva", trained_on=2))
    (row,) = csv.DictReader(made["csv"].splitlines())
    assert row == {
        "label": "tva (TVA) by volume",
        "run": "tva",
        "benchmark": "toys",
        "score": "volume",
        "modalities": "TVA",
        "text_to_item_R@1": "25.0",
        "text_to_item_R@10": "50.0",
        "item_to_text_R@1": "25.0",
        "item_to_text_R@10": "50.0",
        "gallery": "12",
        "queries": "24",
        "trained_on": "2",
    }


def test_lines_stand_in_the_order_of_the_table(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    made = _make(tmp_path, _table("b", "a"), write_scores_of("a"), write_scores_of("b"))
    assert [row["run"] for row in csv.DictReader(made["csv"].splitlines())] == ["b", "a"]


def test_the_markdown_table_is_even(write_scores_of: WriteScores, tmp_path: Path) -> None:
    made = _make(tmp_path, _table("tva"), write_scores_of("tva", recall=33.333))
    header, rule, line = [row for row in made["md"].splitlines() if row.startswith("|")]
    assert len(header) == len(rule) == len(line)
    assert _cells(line)[5:] == ["33.3", "66.7", "33.3", "66.7", "12", "24"]


def test_a_label_with_a_pipe_stays_one_markdown_cell(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    made = _make(tmp_path, _table("tva", label="a | b\nc"), write_scores_of("tva"))
    assert r"| a \| b c |" in made["md"]


def test_the_latex_table_is_set_by_booktabs(write_scores_of: WriteScores, tmp_path: Path) -> None:
    made = _make(tmp_path, _table("t_v", label="50 % {x}"), write_scores_of("t_v"))
    assert r"\caption{Toys \& more}" in made["tex"]
    assert r"\label{tab:demo}" in made["tex"]
    assert r"50 \% \{x\} & t\_v & toys & volume & TVA & 25.0 & 50.0 & 25.0" in made["tex"]
    assert [made["tex"].count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [
        1
    ] * 3


def test_every_latex_line_has_as_many_cells_as_columns(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    made = _make(tmp_path, _table("a", "b"), write_scores_of("a"), write_scores_of("b"))
    columns = made["tex"].partition(r"\begin{tabular}{")[2].partition("}")[0]
    lines = [line for line in made["tex"].splitlines() if line.startswith(("label &", "a ", "b "))]
    assert [line.count(" & ") + 1 for line in lines] == [len(columns)] * 3


def test_the_same_scores_give_the_same_bytes(write_scores_of: WriteScores, tmp_path: Path) -> None:
    path = write_scores_of("tva")
    assert _make(tmp_path / "1", _table("tva"), path) == _make(tmp_path / "2", _table("tva"), path)


def test_the_tracker_gets_the_three_files(write_scores_of: WriteScores, tmp_path: Path) -> None:
    notebook = Notebook()
    make_table(
        _table("tva"),
        scores=[write_scores_of("tva")],
        csv=tmp_path / "demo.csv",
        markdown=tmp_path / "demo.md",
        latex=tmp_path / "demo.tex",
        tracker=notebook,
    )
    assert [path.name for path in notebook.files] == ["demo.csv", "demo.md", "demo.tex"]


def test_cutoffs_are_those_that_all_lines_have(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    values = {"R@1": 10.0, "R@5": 20.0, "median_rank": 2.0, "mean_rank": 2.0}
    other = _result(values)
    scores = (write_scores_of("a"), write_scores_of("b", scores={"volume": other}))
    made = _make(tmp_path, _table("a", "b"), *scores)
    assert "R@1" in made["csv"]
    assert "R@5" not in made["csv"]


def test_lines_without_a_common_cutoff_are_refused(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    values = {"R@7": 10.0}
    other = _result(values)
    scores = (write_scores_of("a"), write_scores_of("b", scores={"volume": other}))
    with pytest.raises(ValueError, match=r"no cut-off K in common \(a: \[1, 10\]; b: \[7\]\)"):
        _make(tmp_path, _table("a", "b"), *scores)


def test_scores_that_were_not_given_are_named(write_scores_of: WriteScores, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="b on toys, whose scores were not given; given: a on toys"
    ):
        _make(tmp_path, _table("a", "b"), write_scores_of("a"))


def test_a_score_that_was_not_computed_is_named(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    table = TableConfig(
        title="x", rows=(TableRow(run="a", benchmark="toys", score="cosine_video"),)
    )
    with pytest.raises(ValueError, match=r"lack 'cosine_video'; they hold volume; add it to"):
        _make(tmp_path, table, write_scores_of("a"))


def _notes(table: TableConfig, scores: Sequence[Path]) -> list[str]:
    return table_notes(table, results=index_results(scores))


def test_the_notes_begin_with_that_of_the_table(write_scores_of: WriteScores) -> None:
    table = _table("a", note="D is depth.")
    assert _notes(table, [write_scores_of("a")])[0] == "D is depth."


def test_the_notes_say_what_chance_gives(write_scores_of: WriteScores) -> None:
    notes = _notes(_table("a"), [write_scores_of("a", gallery=884)])
    assert any("By chance R@1 is 0.11 % (884 clips)." in note for note in notes)


def test_the_notes_say_what_was_ranked(write_scores_of: WriteScores) -> None:
    assert (
        "toys: split test of data set toys, 12 clips and 24 queries (rows 13, unusable 1, used 12)."
    ) in _notes(_table("a", "b"), [write_scores_of("a"), write_scores_of("b")])


def test_different_galleries_of_one_benchmark_are_told(write_scores_of: WriteScores) -> None:
    scores = [write_scores_of("a"), write_scores_of("b", gallery=1, clip_ids=("test_0000",))]
    notes = _notes(_table("a", "b"), scores)
    assert any(note.startswith("The runs rank 2 different galleries of toys") for note in notes)
    assert any(note.endswith("Runs: b.") for note in notes)


def test_clips_that_were_trained_on_are_warned_of(write_scores_of: WriteScores) -> None:
    results = index_results([write_scores_of("a", trained_on=12), write_scores_of("b")])
    assert table_warnings(_table("a", "b"), results=results) == [
        "Warning: 12 of the 12 gallery clips of toys were trained on by a. These numbers show "
        "that the plumbing works, not that anything was learned."
    ]


@pytest.mark.parametrize("kind", ["md", "tex"])
def test_the_warning_stands_below_the_table(
    write_scores_of: WriteScores, tmp_path: Path, kind: str
) -> None:
    made = _make(tmp_path, _table("a"), write_scores_of("a", trained_on=3))
    assert "Warning: 3 of the 12 gallery clips" in made[kind]


def test_the_letters_of_a_run_stand_in_its_line(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    scores = write_scores_of("a", modalities=(Modality.VIDEO, Modality.DEPTH))
    (row,) = csv.DictReader(_make(tmp_path, _table("a"), scores)["csv"].splitlines())
    assert row["modalities"] == "TVD"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b _c_", r"a_b \_c\_"),
        ("<img> & `x`", r"&lt;img&gt; &amp; \`x\`"),
        ("1 | 2 \\ [3]", r"1 \| 2 \\ \[3\]"),
        ("two\nlines", "two lines"),
    ],
    ids=["underscore", "html", "pipe", "newline"],
)
def test_markdown_shows_text_as_it_is(text: str, expected: str) -> None:
    assert escape_markdown(text) == expected


def test_latex_prints_every_special_character() -> None:
    assert escape_latex("\\ { } $ & # % _ ^ ~ < > | →") == (
        r"\textbackslash{} \{ \} \$ \& \# \% \_ \textasciicircum{} \textasciitilde{} "
        r"\textless{} \textgreater{} \textbar{} $\rightarrow$"
    )
