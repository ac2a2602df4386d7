"""What holds of every figure: four files, the same bytes, words that can be read back."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from gram.figures.style import BARS, SERIES, Words, draw_bars, new_figure, read_words, write_figure

NASTY = 'a <b>"bold"</b> $x$ & more'
ROWS = pd.DataFrame(
    {
        "label": [NASTY, NASTY, "other", "other"],
        "series": ["R@1", "R@10"] * 2,
        "percent": [20.0, 40.0, 30.0, 100.0],
        "low": [10.0, 30.0, 20.0, 100.0],
        "high": [30.0, 50.0, 40.0, 100.0],
    }
)
KINDS = ("svg", "pdf", "png", "csv")


def draw(folder: Path) -> Path:
    with new_figure(height=3.0) as figure:
        draw_bars(figure.subplots(), ROWS, series=("R@1", "R@10"), xlabel="%")
        svg = folder / "bars.svg"
        write_figure(figure, svg, words=Words(NASTY, "Said & done."), numbers=ROWS)
    return svg


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_drawn_twice_has_the_same_bytes(tmp_path: Path, kind: str) -> None:
    first, second = (draw(tmp_path / name).with_suffix(f".{kind}") for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 100


def test_its_words_can_be_read_back(tmp_path: Path) -> None:
    assert read_words(draw(tmp_path)) == Words(NASTY, "Said & done.")


def test_its_words_are_text_in_the_svg(tmp_path: Path) -> None:
    assert "<b>" not in draw(tmp_path).read_text(encoding="utf-8")


def test_the_svg_refers_to_nothing_outside(tmp_path: Path) -> None:
    root = ElementTree.parse(draw(tmp_path)).getroot()  # noqa: S314 - our own
    links = [value for one in root.iter() for key, value in one.items() if key.endswith("href")]
    assert all(link.startswith("#") for link in links)


def test_the_numbers_stand_beside_it(tmp_path: Path) -> None:
    csv = draw(tmp_path).with_suffix(".csv")
    pd.testing.assert_frame_equal(pd.read_csv(csv), ROWS)


@pytest.mark.parametrize("text", ["", "<svg", '<svg xmlns="http://www.w3.org/2000/svg"/>'])
def test_what_is_no_figure_is_told(tmp_path: Path, text: str) -> None:
    svg = tmp_path / "x.svg"
    svg.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.svg .*; delete it and draw it again"):
        read_words(svg)


def _luminance(color: str) -> float:
    red, green, blue = (int(part, 16) for part in re.findall("..", color[1:]))
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize("colors", [SERIES[:2], (BARS[0], "#1f2733"), (BARS[1], "#1f2733")])
def test_what_stands_on_each_other_differs_in_gray(colors: tuple[str, str]) -> None:
    assert abs(_luminance(colors[0]) - _luminance(colors[1])) > 60
