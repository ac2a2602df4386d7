"""`gram clips`: annotations to a table of clips, by hand."""

import json
from pathlib import Path

from typer.testing import CliRunner

from gram.cli import app
from gram.data.tables import read_rows


def write(path: Path, *ids: str) -> str:
    records = [{"video_id": name, "desc": ["a dog", " "], "subtitle": "hello"} for name in ids]
    path.write_text(json.dumps(records), encoding="utf-8")
    return str(path)


def test_files_become_a_table_with_an_account(tmp_path: Path) -> None:
    out = tmp_path / "clips.parquet"
    test, train = write(tmp_path / "a.json", "video1"), write(tmp_path / "b.json", "video2")
    options = ["clips", "--benchmark", "msrvtt", "--out", str(out)]
    done = CliRunner().invoke(app, [*options, "--annotations", test, f"train={train}"])
    assert done.exit_code == 0, done.output
    assert [(row["clip_id"], row["split"]) for row in read_rows(out)] == [
        ("video1", "test"),
        ("video2", "train"),
    ]
    for word in ("with subtitle", "1 blank captions", "upstream's records"):
        assert word in done.output


def test_the_split_of_files_may_be_given(tmp_path: Path) -> None:
    out = tmp_path / "clips.parquet"
    options = ["clips", "--benchmark", "msrvtt", "--out", str(out), "--split", "val"]
    done = CliRunner().invoke(
        app, [*options, "--annotations", write(tmp_path / "a=b.json", "video1")]
    )
    assert done.exit_code == 0, done.output
    assert read_rows(out)[0]["split"] == "val"


def test_own_clips_carry_their_splits(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("video_id,caption,split\na,a dog,val\nb,a cat,test\n", encoding="utf-8")
    out = tmp_path / "clips.parquet"
    done = CliRunner().invoke(app, ["clips", "--annotations", str(file), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert [row["split"] for row in read_rows(out)] == ["val", "test"]


def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    out = tmp_path / "clips.parquet"
    options = ["clips", "--benchmark", "didemo", "--out", str(out)]
    done = CliRunner().invoke(
        app, [*options, "--annotations", write(tmp_path / "a.json", "video1")]
    )
    assert done.exit_code == 1
    assert "which looks like MSR-VTT; give upstream's descs_ret_*.json, or" in done.stderr
    assert not out.exists()


def test_the_names_of_files_tell_their_split(tmp_path: Path) -> None:
    out = tmp_path / "clips.parquet"
    file = write(tmp_path / "descs_ret_train.json", "video1", "video1")
    options = ["clips", "--benchmark", "msrvtt", "--out", str(out), "--annotations", file]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert read_rows(out)[0]["split"] == "train"
    for line in (
        "train: read descs_ret_train.json: upstream's records, of training by its name",
        "train: left out 1 repeated records",
    ):
        assert line in done.output
