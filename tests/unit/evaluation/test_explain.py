"""Where a number of a table comes from, and what is said when it cannot be told."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gram.cli import app
from gram.config import TableConfig, TableRow
from gram.evaluation.explain import explain_cell
from gram.evaluation.references import Published
from gram.evaluation.tables import make_table
from gram.tracking import Tracker

THEIRS = {
    ("gram", "text_to_item", "R@1"): [
        Published(who="paper", percent=27.0, source="paper, Table 1", confidence="seen-twice"),
        Published(who="SCA", percent=24.0, source="its table", confidence="seen-once"),
    ]
}


def explain(table: Path, cell: str) -> dict[str, str]:
    return dict(explain_cell(table, cell, references=THEIRS))


@pytest.fixture
def table(write_scores_of: Callable[..., Path], tmp_path: Path) -> Path:
    """Make a table of one line below results/, with the description of a training beside it."""
    scores = write_scores_of("tva")
    wanted = tmp_path / "results/scores/tva/toys.json"
    wanted.parent.mkdir(parents=True)
    scores.rename(wanted)
    described = tmp_path / "results/pretrained/volume_tva/last.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps({"loss": {"temperature": 0.07}}), encoding="utf-8")
    row = TableRow(run="tva", benchmark="toys", label="ours, all", reference="gram")
    csv = tmp_path / "results/tables/demo.csv"
    make_table(
        TableConfig(title="x", rows=(row,)),
        scores=[wanted],
        references=THEIRS,
        csv=csv,
        tracker=Tracker(),
    )
    return csv


@pytest.mark.parametrize(
    "cell", ["ours, all,text_to_item_R@1", "1,text_to_item_R@1", "ours, all, T→item R@1"]
)
def test_a_cell_is_found_by_label_or_number(table: Path, cell: str) -> None:
    told = explain(table, cell)
    assert told["number"] == "25.00 %, R@1 T→item, 95 % interval 22.00 to 28.00"


def test_all_is_told_that_a_number_was_made_of(table: Path) -> None:
    told = explain(table, "1,text_to_item_R@1")
    assert told["published"] == (
        "paper 27 (paper, Table 1; seen-twice); SCA 24 (its table; seen-once); difference to the "
        "paper -2.00 inside"
    )
    assert told["run"] == "tva (TVA), volume_tva from aligned; 8 frames a clip"
    assert told["checkpoint"].endswith(f"last.safetensors, sha256 {'a' * 64}")
    assert told["training, loss"] == '{"temperature": 0.07}'
    assert '"gallery": "as_run"' in told["protocol"]
    assert '"scores": ["volume"]' in told["evaluation"]
    assert told["clips"].startswith("12 of the split test of toys (rows 13, unusable 1, used 12)")
    assert told["score"] == "volume, small is near, among 12 clips"
    assert told["command"] == "snakemake results/scores/tva/toys.json"


def test_the_command_prints_it(table: Path) -> None:
    done = CliRunner().invoke(app, ["explain", str(table), "--cell", "1,item_to_text_R@10"])
    assert done.exit_code == 0, done.output
    assert re.search(r"^number +50\.00 %, R@10 item→T", done.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("text_to_item_R@1", "25.0 (R@1 T→item)"),
        ("text_to_item_R@1_paper", "27.0 (what the paper prints; of R@1 T→item)"),
        ("T→item R@1 paper", "27.0 (what the paper prints; of R@1 T→item)"),
        (
            "text_to_item_R@1_reruns",
            "SCA 24 (what others found who ran it again; of R@1 T→item)",
        ),
        ("text_to_item_R@1_low", "22.0 (lower end of the 95 % interval; of R@1 T→item)"),
        (
            "text_to_item_R@1_difference",
            "-2.0 (ours less the paper's, in points; of R@1 T→item)",
        ),
        ("item_to_text_R@1_paper", "empty (what the paper prints; of R@1 item→T)"),
        ("gallery", "12 (clips among which each text was searched)"),
        ("modalities", "TVA (the line's modalities)"),
    ],
)
def test_every_kind_of_cell_is_told(table: Path, column: str, told: str) -> None:
    found = explain(table, f"1,{column}")
    assert found["cell"] == told
    assert found["command"] == "snakemake results/scores/tva/toys.json"


def test_what_the_paper_does_not_print_is_told(table: Path) -> None:
    told = explain(table, "1,item_to_text_R@1_paper")
    assert told["published"] == "nothing: gram has no R@1 item→T"


def test_another_form_or_a_copy_of_the_table_is_as_good(table: Path) -> None:
    copied = table.parents[1] / "report/tables/demo.csv"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(table.read_bytes())
    cell = "1,text_to_item_R@1"
    assert explain(copied, cell) == explain(table, cell)
    assert explain(table.with_suffix(".tex"), cell) == explain(table, cell)


def test_an_empty_cell_says_what_is_missing(table: Path, tmp_path: Path) -> None:
    row = TableRow(run="none", benchmark="toys", reference="gram")
    partial = tmp_path / "results/tables/partial/demo.csv"
    make_table(
        TableConfig(title="x", rows=(row, TableRow(run="tva", benchmark="toys"))),
        scores=[tmp_path / "results/scores/tva/toys.json"],
        references=THEIRS,
        csv=partial,
        tracker=Tracker(),
        is_partial=True,
    )
    told = explain(partial, "1,text_to_item_R@1")
    assert told["cell"] == "empty (R@1 T→item)"
    assert re.fullmatch(r"the line has no numbers: lacks .*scores/none/toys\.json", told["missing"])
    assert told["published"].startswith("paper 27 (paper, Table 1; seen-twice); SCA 24")
    assert told["command"] == "snakemake results/scores/none/toys.json"
    assert explain(partial, "2,text_to_item_R@1")["number"].startswith("25.00 %")


def test_a_table_outside_results_is_told(
    table: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "demo.csv"
    elsewhere.write_bytes(table.read_bytes())
    with pytest.raises(ValueError, match="lies in no folder of results"):
        explain(elsewhere, "1,text_to_item_R@1")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "theirs,text_to_item_R@1",
            "write LINE,COLUMN, where LINE is the number or the label of one of: 1 ours, all",
        ),
        ("1", "write LINE,COLUMN"),
        ("1,R@1", "no column 'R@1'; its recalls are text_to_item_R@1, text_to_item_R@10, item"),
        ("2,text_to_item_R@1", "names no line"),
    ],
)
def test_a_cell_that_is_not_there_is_told(table: Path, cell: str, message: str) -> None:
    done = CliRunner().invoke(app, ["explain", str(table), "--cell", cell])
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no table at .*none\.csv; give results/tables/NAME\.csv"):
        explain(tmp_path / "none.csv", "1,text_to_item_R@1")


def test_a_table_of_older_scores_is_told(
    table: Path, write_scores_of: Callable[..., Path], tmp_path: Path
) -> None:
    write_scores_of("tva", recall=30.0).rename(tmp_path / "results/scores/tva/toys.json")
    with pytest.raises(ValueError, match=r"says 30\.0000 now, and the table 25\.0.*make it again"):
        explain(table, "1,text_to_item_R@1")


def test_scores_that_are_gone_are_told(table: Path, tmp_path: Path) -> None:
    (tmp_path / "results/scores/tva/toys.json").unlink()
    with pytest.raises(ValueError, match=r"`snakemake results/scores/tva/toys\.json` makes it"):
        explain(table, "1,text_to_item_R@1")


def test_a_training_that_is_gone_is_told(table: Path, tmp_path: Path) -> None:
    (tmp_path / "results/pretrained/volume_tva/last.json").unlink()
    assert "is gone" in explain(table, "1,text_to_item_R@1")["training"]


def test_a_number_of_several_seeds_is_traced_to_each(
    write_scores_of: Callable[..., Path], tmp_path: Path
) -> None:
    members = ("tva_seed0", "tva_seed1")
    paths = []
    for run, recall in zip(members, (20.0, 30.0), strict=True):
        paths.append(tmp_path / "results/scores" / run / "toys.json")
        paths[-1].parent.mkdir(parents=True)
        write_scores_of(run, recall=recall).rename(paths[-1])
    csv = tmp_path / "results/tables/seeds.csv"
    row = TableRow(run="tva", members=members, benchmark="toys", label="ours")
    table = TableConfig(title="x", rows=(row,))
    make_table(table, scores=paths, references={}, csv=csv, tracker=Tracker())
    told = explain(csv, "ours,text_to_item_R@1")
    assert told["number"] == "25.0 %, mean; 7.0711 points, standard deviation"
    assert told["number of tva_seed1"].startswith("30.00 %, R@1 T→item")
    assert told["checkpoint of tva_seed0"].startswith("results/pretrained")
    files = " ".join(f"results/scores/{run}/toys.json" for run in members)
    assert told["command"] == f"snakemake {files}"
