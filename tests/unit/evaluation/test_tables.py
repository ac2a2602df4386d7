import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gram.config import TableConfig, TableRow
from gram.evaluation.references import Published, References
from gram.evaluation.results import ScoreResult
from gram.evaluation.table_notes import index_results, table_notes, table_warnings
from gram.evaluation.table_text import escape_latex, escape_markdown
from gram.evaluation.tables import BESIDE, make_table
from gram.tracking import Tracker
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


def _make(
    folder: Path, table: TableConfig, *scores: Path, references: References | None = None
) -> dict[str, str]:
    paths = {kind: folder / f"demo.{kind}" for kind in ("csv", "md", "tex")}
    make_table(
        table,
        scores=scores,
        references=references or {},
        csv=paths["csv"],
        tracker=Tracker(),
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
    beside = tuple(f"_{what}" for what in BESIDE)
    assert {name: row[name] for name in row if not name.endswith(beside)} == {
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
        "runs": "tva",
        "reference": "",
    }


def _published(percent: float, *, who: str = "paper") -> Published:
    return Published(who=who, percent=percent, source="a table", confidence="seen-once")


THEIRS = {
    ("gram", "text_to_item", "R@1"): [_published(27.5), _published(21.0, who="others")],
    ("gram", "item_to_text", "R@1"): [_published(28.5)],
    ("gram", "text_to_item", "R@10"): [_published(46.5)],
}


@pytest.fixture
def compared(write_scores_of: WriteScores, tmp_path: Path) -> dict[str, str]:
    """Make a table of a line of 25 % (22 to 28), with published numbers beside it."""
    row = TableRow(run="tva", benchmark="toys", label="ours", reference="gram")
    table = TableConfig(title="x", rows=(row,))
    return _make(tmp_path, table, write_scores_of("tva"), references=THEIRS)


@pytest.mark.parametrize(
    ("column", "beside"),
    [
        ("text_to_item_R@1", ["22.0", "28.0", "", "27.5", "others 21", "-2.5", "inside"]),
        ("item_to_text_R@1", ["22.0", "28.0", "", "28.5", "", "-3.5", "below"]),
        ("text_to_item_R@10", ["47.0", "53.0", "", "46.5", "", "3.5", "above"]),
        ("item_to_text_R@10", ["47.0", "53.0", "", "", "", "", ""]),
    ],
)
def test_beside_a_recall_stand_its_interval_and_what_others_found(
    compared: dict[str, str], column: str, beside: list[str]
) -> None:
    (row,) = csv.DictReader(compared["csv"].splitlines())
    assert [row[f"{column}_{what}"] for what in BESIDE] == beside


def test_readers_see_ours_and_theirs_line_by_line(compared: dict[str, str]) -> None:
    lines = [_cells(line) for line in compared["md"].splitlines() if line.startswith("| ours")]
    assert lines[1] == [
        *("ours", "T→item", "R@1", "25.0 (22.0 to 28.0)", "12"),
        *("27.5", "21.0", "-2.5", "inside"),
    ]
    assert len(lines) == 1 + 3


def test_readers_are_told_what_the_published_numbers_are(compared: dict[str, str]) -> None:
    assert "884 of MSR-VTT" in compared["md"]
    assert "Re-runs are those of others." in compared["md"]


def test_a_reference_that_is_not_known_is_named(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    row = TableRow(run="a", benchmark="toys", reference="gramm")
    with pytest.raises(ValueError, match=r"the reference 'gramm', .* those are of gram"):
        _make(
            tmp_path,
            TableConfig(title="x", rows=(row,)),
            write_scores_of("a"),
            references=THEIRS,
        )


def test_a_partial_table_says_what_is_missing(write_scores_of: WriteScores, tmp_path: Path) -> None:
    make_table(
        _table("a", "b"),
        scores=[write_scores_of("a")],
        references={},
        csv=tmp_path / "demo.csv",
        tracker=Tracker(),
        is_partial=True,
    )
    text = (tmp_path / "demo.md").read_text(encoding="utf-8")
    assert "- Missing: snakemake results/scores/b/toys.json makes what it lacks." in text
    (line,) = [_cells(line) for line in text.splitlines() if line.startswith("| b by volume")]
    assert line[4:] == ["-"] * 7


def test_a_partial_table_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no line .* has scores yet; snakemake results/scores/a/"):
        make_table(
            _table("a"),
            scores=[],
            references={},
            csv=tmp_path / "demo.csv",
            tracker=Tracker(),
            is_partial=True,
        )


def test_a_score_that_looks_at_all_queries_is_marked(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    name = "volume+dual_softmax"
    scores = write_scores_of("a", scores={name: _result({"R@1": 10.0})})
    row = TableRow(run="a", benchmark="toys", score=name)
    made = _make(tmp_path, TableConfig(title="x", rows=(row,)), scores)
    assert "- Transductive: volume+dual_softmax." in made["md"]


def test_lines_stand_in_the_order_of_the_table(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    made = _make(tmp_path, _table("b", "a"), write_scores_of("a"), write_scores_of("b"))
    assert [row["run"] for row in csv.DictReader(made["csv"].splitlines())] == ["b", "a"]


def test_the_markdown_table_is_even(write_scores_of: WriteScores, tmp_path: Path) -> None:
    made = _make(tmp_path, _table("tva"), write_scores_of("tva", recall=33.333))
    header, rule, line = [row for row in made["md"].splitlines() if row.startswith("|")]
    assert len(header) == len(rule) == len(line)
    assert _cells(line)[5:] == [
        "33.3 (30.3 to 36.3)",
        "66.7 (63.7 to 69.7)",
        "33.3 (30.3 to 36.3)",
        "66.7 (63.7 to 69.7)",
        "12",
        "24",
    ]


def test_a_label_with_a_pipe_stays_one_markdown_cell(
    write_scores_of: WriteScores, tmp_path: Path
) -> None:
    made = _make(tmp_path, _table("tva", label="a | b\nc"), write_scores_of("tva"))
    assert r"| a \| b c |" in made["md"]


def test_the_latex_table_is_set_by_booktabs(write_scores_of: WriteScores, tmp_path: Path) -> None:
    made = _make(tmp_path, _table("t_v", label="50 % {x}"), write_scores_of("t_v"))
    assert r"\caption{Toys \& more}" in made["tex"]
    assert r"\label{tab:demo}" in made["tex"]
    assert (
        r"50 \% \{x\} & t\_v & toys & volume & TVA & 25.0 (22.0 to 28.0) & 50.0 (47.0 to 53.0) & "
        in made["tex"]
    )
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
        references={},
        csv=tmp_path / "demo.csv",
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
    notes = _notes(_table("a"), [write_scores_of("a", candidates=884)])
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
