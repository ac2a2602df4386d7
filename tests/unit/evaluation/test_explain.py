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
from gram.tracking import Silence

THEIRS = {
    ("gram", "text_to_item", "R@1"): [
        Published(who="paper", percent=27.0, source="", confidence="")
    ]
}


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
        tracker=Silence(),
    )
    return csv


@pytest.mark.parametrize(
    "cell", ["ours, all,text_to_item_R@1", "1,text_to_item_R@1", "ours, all, T→item R@1"]
)
def test_a_cell_is_found_by_label_or_number(table: Path, cell: str) -> None:
    told = dict(explain_cell(table, cell))
    assert told["number"] == "25.00 %, R@1 T→item, 95 % interval 22.00 to 28.00"


def test_all_is_told_that_a_number_was_made_of(table: Path) -> None:
    told = dict(explain_cell(table, "1,text_to_item_R@1"))
    assert told["published"] == "paper 27.0, difference -2.00, inside"
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
    ("cell", "message"),
    [
        (
            "theirs,text_to_item_R@1",
            "names 0 lines of the table; write LINE,COLUMN with one of: 1 o",
        ),
        ("1", "write LINE,COLUMN"),
        ("1,R@1", "no recall 'R@1'; its columns are text_to_item_R@1, text_to_item_R@10"),
        ("2,text_to_item_R@1", "names 0 lines"),
    ],
)
def test_a_cell_that_is_not_there_is_told(table: Path, cell: str, message: str) -> None:
    done = CliRunner().invoke(app, ["explain", str(table), "--cell", cell])
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no table at .*none\.csv; give results/tables/NAME\.csv"):
        explain_cell(tmp_path / "none.csv", "1,text_to_item_R@1")


def test_a_table_of_older_scores_is_told(
    table: Path, write_scores_of: Callable[..., Path], tmp_path: Path
) -> None:
    write_scores_of("tva", recall=30.0).rename(tmp_path / "results/scores/tva/toys.json")
    with pytest.raises(ValueError, match=r"says 30\.0000 now, and the table 25\.0.*make it again"):
        explain_cell(table, "1,text_to_item_R@1")


def test_scores_that_are_gone_are_told(table: Path, tmp_path: Path) -> None:
    (tmp_path / "results/scores/tva/toys.json").unlink()
    with pytest.raises(ValueError, match=r"`snakemake results/scores/tva/toys\.json` makes it"):
        explain_cell(table, "1,text_to_item_R@1")


def test_a_training_that_is_gone_is_told(table: Path, tmp_path: Path) -> None:
    (tmp_path / "results/pretrained/volume_tva/last.json").unlink()
    assert "is gone" in dict(explain_cell(table, "1,text_to_item_R@1"))["training"]


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
    make_table(table, scores=paths, references={}, csv=csv, tracker=Silence())
    told = dict(explain_cell(csv, "ours,text_to_item_R@1"))
    assert told["number"] == "25.0 %, mean; 7.0711 points, standard deviation"
    assert told["number of tva_seed1"].startswith("30.00 %, R@1 T→item")
    assert told["checkpoint of tva_seed0"].startswith("results/pretrained")
    files = " ".join(f"results/scores/{run}/toys.json" for run in members)
    assert told["command"] == f"snakemake {files}"
