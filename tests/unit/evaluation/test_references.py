"""Published numbers: the file of the project, and files that are not of its form."""

from pathlib import Path

import pytest

from gram.evaluation.references import COLUMNS, Published, compare, read_references

FILE = Path(__file__).parents[3] / "config" / "paper_scores.csv"


@pytest.mark.parametrize(
    ("name", "direction", "metric", "percent"),
    [
        ("gram_zero_shot_msrvtt_tvas", "text_to_item", "R@1", 54.8),
        ("gram_finetuned_msrvtt_tvas", "item_to_text", "R@1", 64.8),
        ("gram_zero_shot_audiocaps_tva", "text_to_item", "R@1", 33.2),
        ("gram_zero_shot_vggsound_tva", "item_to_text", "R@1", 40.6),
        ("vast_zero_shot_msrvtt_tva", "text_to_item", "R@1", 49.3),
    ],
)
def test_the_file_has_the_numbers_of_the_paper(
    name: str, direction: str, metric: str, percent: float
) -> None:
    found = {one.who: one.percent for one in read_references(FILE)[name, direction, metric]}
    assert found["paper"] == percent


def test_the_file_has_what_others_found() -> None:
    key = ("gram_zero_shot_msrvtt_tvas", "text_to_item", "R@1")
    found = {one.who: one.percent for one in read_references(FILE)[key]}
    assert {"HyperAlign", "SCA", "SCA, retrained", "PMRL", "HyperGRAM"} <= found.keys()


def test_every_number_has_a_source() -> None:
    assert all(one.source for found in read_references(FILE).values() for one in found)


def test_nobody_says_two_things_of_one_number() -> None:
    for found in read_references(FILE).values():
        whos = [one.who for one in found]
        assert len(set(whos)) == len(whos)


def test_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,value\na,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"has the columns name, value; it needs reference, dir"):
        read_references(tmp_path / "a.csv")


@pytest.mark.parametrize(("direction", "percent"), [("t2v", "1"), ("text_to_item", "many")])
def test_a_line_of_another_form_is_named(tmp_path: Path, direction: str, percent: str) -> None:
    line = f"gram,{direction},R@1,{percent},paper,a table,seen-once"
    (tmp_path / "a.csv").write_text(f"{','.join(COLUMNS)}\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.csv, line 2: percent is '{percent}' and direction"):
        read_references(tmp_path / "a.csv")


def test_re_runs_without_a_paper_have_no_mark() -> None:
    theirs = [Published(who="one", percent=50.0, source="", confidence="")]
    found = compare(51.0, interval=(48.0, 54.0), published=theirs)
    assert (found.paper, found.difference, found.mark, found.reruns_text) == (
        None,
        None,
        None,
        "50.0",
    )
