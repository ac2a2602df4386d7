import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from gram.evaluation.figures import draw_losses, draw_steps


def _history(steps: int, *, matching: float = 0.5) -> pd.DataFrame:
    step = np.arange(1, steps + 1)
    loss = 1.0 / step
    return pd.DataFrame(
        {
            "step": step,
            "loss": loss,
            "text_to_item": loss,
            "item_to_text": loss,
            "matching": np.full(steps, matching),
        }
    )


def _losses() -> str:
    return draw_losses({"first": _history(20), "second <b>$x$": _history(20)})


def _steps() -> str:
    return draw_steps({"test": [("listed", 8), ("used in evaluation", 6)]}, title="Clips & more")


FIGURES = pytest.mark.parametrize("draw", [_losses, _steps], ids=["losses", "steps"])


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.text]  # noqa: S314 - our own text


@FIGURES
def test_a_figure_drawn_twice_has_the_same_bytes(draw: Callable[[], str]) -> None:
    assert draw() == draw()


@FIGURES
def test_a_figure_is_one_whole_svg(draw: Callable[[], str]) -> None:
    svg = draw()
    assert svg.startswith("<svg ")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314


@FIGURES
def test_a_figure_refers_to_itself_only(draw: Callable[[], str]) -> None:
    references = re.findall(r'(?:href|src)="([^"]*)"', draw())
    assert references
    assert all(reference.startswith("#") for reference in references)


@FIGURES
def test_the_colors_of_a_figure_are_those_of_the_page(draw: Callable[[], str]) -> None:
    svg = draw()
    assert "var(--series-1, #" in svg
    assert "var(--ink, #" in svg
    assert not re.search(r"(?<!, )#0000", svg)


@FIGURES
def test_a_figure_changes_no_style_of_the_page(draw: Callable[[], str]) -> None:
    assert "<style" not in draw()


def test_figures_in_one_page_share_no_id() -> None:
    ids = [set(re.findall(r'\bid="([^"]*)"', draw())) for draw in (_losses, _steps)]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_labels_of_runs_are_plain_text() -> None:
    assert "second <b>$x$" in _texts(_losses())


def test_a_part_of_the_loss_that_no_run_has_is_left_out() -> None:
    assert "Matching" not in _texts(draw_losses({"run": _history(20, matching=0.0)}))


def test_a_long_history_is_averaged() -> None:
    short, long = (draw_losses({"run": _history(steps)}) for steps in (300, 3000))
    assert len(long) < 1.2 * len(short)


def test_a_history_without_its_columns_is_named() -> None:
    with pytest.raises(ValueError, match=r"history of odd lacks loss; it holds step, cost"):
        draw_losses({"odd": pd.DataFrame({"step": [1], "cost": [2.0]})})


def test_a_history_without_steps_is_named() -> None:
    with pytest.raises(ValueError, match=r"history of empty holds no step; train that run again"):
        draw_losses({"empty": _history(0)})


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no training history"):
        draw_losses({})


def test_each_step_of_each_split_is_drawn_with_its_clips() -> None:
    splits = {"train": [("listed", 1200), ("used in pretraining", 900)], "test": [("listed", 7)]}
    svg = draw_steps(splits, title="Clips")
    for text in ("train", "test", "listed", "used in pretraining", ">1,200<", ">900<", ">7<"):
        assert text in svg


def test_names_of_splits_are_text() -> None:
    assert "<b>" not in draw_steps({"<b>": [("listed", 1)]}, title="Clips <b>")


@pytest.mark.parametrize("splits", [{}, {"test": []}, {"test": [("listed", 0)]}], ids=str)
def test_no_clips_cannot_be_drawn(splits: dict[str, list[tuple[str, int]]]) -> None:
    with pytest.raises(ValueError, match="there are no clips to draw"):
        draw_steps(splits, title="Clips")
