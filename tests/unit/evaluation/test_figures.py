import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from gram.evaluation.figures import RecallBar, draw_losses, draw_recalls, draw_steps, draw_volumes


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


def _volumes() -> str:
    random = np.random.default_rng(0)
    return draw_volumes(random.uniform(0.1, 0.5, 40), random.uniform(0.5, 1.0, 400))


def _recalls() -> str:
    bars = [
        RecallBar(label="TV", recalls={"R@1": 12.5, "R@10": 40.0}),
        RecallBar(label="TVA", recalls={"R@1": 25.0, "R@10": 66.7}),
    ]
    return draw_recalls(bars, title="Recall & more")


FIGURES = pytest.mark.parametrize(
    "draw", [_losses, _volumes, _recalls], ids=["losses", "volumes", "recalls"]
)


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
    ids = [set(re.findall(r'\bid="([^"]*)"', draw())) for draw in (_losses, _volumes, _recalls)]
    assert all(ids)
    assert not ids[0] & ids[1] | ids[0] & ids[2] | ids[1] & ids[2]


def test_labels_of_runs_are_plain_text() -> None:
    assert "second <b>$x$" in _texts(_losses())


def test_a_part_of_the_loss_that_no_run_has_is_left_out() -> None:
    assert "Matching" not in _texts(draw_losses({"run": _history(20, matching=0.0)}))


def test_a_long_history_is_averaged() -> None:
    short, long = (draw_losses({"run": _history(steps)}) for steps in (300, 3000))
    assert len(long) < 1.2 * len(short)


def test_bars_carry_their_numbers() -> None:
    assert {"12.5", "40.0", "25.0", "66.7", "TV", "TVA", "R@1", "R@10"} <= set(_texts(_recalls()))


def test_the_means_of_volumes_are_told() -> None:
    texts = _texts(draw_volumes(np.array([0.25, 0.35]), np.array([0.5, 1.0])))
    assert "caption with its own clip (mean 0.300)" in texts
    assert "caption with another clip (mean 0.750)" in texts


def test_a_gallery_of_one_clip_has_no_wrong_pairs() -> None:
    texts = _texts(draw_volumes(np.array([0.25]), np.array([])))
    assert not any("another clip" in text for text in texts)


def test_a_history_without_its_columns_is_named() -> None:
    with pytest.raises(ValueError, match=r"history of odd lacks loss; it holds step, cost"):
        draw_losses({"odd": pd.DataFrame({"step": [1], "cost": [2.0]})})


def test_a_history_without_steps_is_named() -> None:
    with pytest.raises(ValueError, match=r"history of empty holds no step; train that run again"):
        draw_losses({"empty": _history(0)})


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no training history"):
        draw_losses({})
    with pytest.raises(ValueError, match="no right pairs"):
        draw_volumes(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="no recalls"):
        draw_recalls([], title="none")


def _bars(*cutoffs: str) -> list[RecallBar]:
    recalls = {"R@1": 12.5, "R@10": 40.0}
    other = dict.fromkeys(cutoffs, 66.7)
    return [RecallBar(label="TV", recalls=recalls), RecallBar(label="TVA", recalls=other)]


def test_the_cut_offs_that_all_bars_have_are_drawn() -> None:
    texts = set(_texts(draw_recalls(_bars("R@10", "R@20"), title="Recall")))
    assert {"R@1", "R@10", "R@20"} & texts == {"R@10"}


def test_bars_without_a_common_cut_off_are_named() -> None:
    with pytest.raises(ValueError, match=r"TV: R@1, R@10; TVA: R@5\); give them one in"):
        draw_recalls(_bars("R@5"), title="Recall")


# --- clips step by step -----------------------------------------------------------------------


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
