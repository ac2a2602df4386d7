"""The rules of a workflow, written, read and drawn."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gram.rule_graph import RuleGraph, draw_graph, read_graph, with_finished, write_graph

CHAIN = RuleGraph(
    jobs={"make": 1, "probe": 4, "pack": 4, "train": 2},
    edges=[("make", "probe"), ("probe", "pack"), ("pack", "train"), ("make", "train")],
)


def boxes(svg: str) -> dict[str, tuple[float, float, float]]:
    """Give left, top and width of the box of each rule."""
    found = re.findall(r'<rect x="(.+?)" y="(.+?)" width="(.+?)".*?<text .*?>(\w+)</text>', svg)
    return {name: (float(x), float(y), float(width)) for x, y, width, name in found}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_graph(CHAIN, tmp_path / "rules.json")
    read = read_graph(tmp_path / "rules.json")
    assert read.jobs == CHAIN.jobs
    assert read.edges == sorted(CHAIN.edges)


def test_a_file_that_says_the_same_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    write_graph(CHAIN, path)
    first = path.stat().st_ino
    write_graph(RuleGraph(jobs=CHAIN.jobs, edges=CHAIN.edges[::-1]), path)
    assert path.stat().st_ino == first


@pytest.mark.parametrize("text", ["", "{}", '{"jobs": [], "edges": []}', '{"jobs": {"a": "x"}}'])
def test_what_holds_no_rules_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds no rules .*; delete it and start again"):
        read_graph(tmp_path / "rules.json")


def test_each_rule_stands_below_all_that_it_reads_from() -> None:
    places = boxes(draw_graph(CHAIN))
    assert sorted(places) == sorted(CHAIN.jobs)
    for before, after in CHAIN.edges:
        assert places[before][1] < places[after][1]


def test_a_line_that_follows_from_others_is_left_out() -> None:
    assert draw_graph(CHAIN).count("<path") == 3


def test_no_box_covers_another() -> None:
    wide = RuleGraph(
        jobs={f"rule_{i}": 1 for i in range(12)} | {"last": 1},
        edges=[(f"rule_{i}", "last") for i in range(12)],
    )
    of_row = sorted(place for name, place in boxes(draw_graph(wide)).items() if name != "last")
    for (x, _, width), (following, _, _) in itertools.pairwise(of_row):
        assert x + width < following


def test_the_drawing_is_whole_and_always_the_same() -> None:
    assert draw_graph(CHAIN) == draw_graph(RuleGraph(jobs=CHAIN.jobs, edges=CHAIN.edges[::-1]))
    assert ElementTree.fromstring(draw_graph(CHAIN)).tag.endswith("svg")  # noqa: S314 - our own


def test_a_name_is_text() -> None:
    svg = draw_graph(RuleGraph(jobs={"<script>": 1}, edges=[]))
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg


def test_rules_that_read_each_other_are_told() -> None:
    with pytest.raises(ValueError, match="rules read each other's files: "):
        draw_graph(RuleGraph(jobs={"a": 1, "b": 1}, edges=[("a", "b"), ("b", "a")]))


def test_a_drawing_of_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="there are no rules to draw"):
        draw_graph(RuleGraph(jobs={}, edges=[]))


def test_a_finished_checkpoint_stays_with_what_it_goes_back_to() -> None:
    before = RuleGraph(
        jobs={"draw": 2, "make": 1, "gone": 1, "probe": 4},
        edges=[("draw", "make"), ("make", "probe"), ("gone", "probe")],
    )
    now = RuleGraph(jobs={"probe": 4, "pack": 4}, edges=[("probe", "pack")])
    whole = with_finished(now, before, checkpoints=["make"])
    assert whole.jobs == {"probe": 4, "pack": 4, "make": 1, "draw": 2}
    assert sorted(whole.edges) == [("draw", "make"), ("make", "probe"), ("probe", "pack")]


def test_a_checkpoint_that_is_there_is_as_it_is_now() -> None:
    now = RuleGraph(jobs={"make": 3}, edges=[])
    assert with_finished(now, RuleGraph(jobs={"make": 1}, edges=[]), checkpoints=["make"]) == now
