"""The pages in a browser without a window: nothing is loaded, nothing hostile runs, keys work."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser, browser
from tests.unit.report.pages import (
    NASTY,
    NASTY_ID,
    MakeEmbeddings,
    PackClips,
    make_page,
    name_clips,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

SHOWN = "[...document.querySelectorAll('.query')].filter(one => one.offsetParent !== null).length"


@pytest.fixture(scope="module")
def page(
    make_embeddings: MakeEmbeddings,
    pack_clips: PackClips,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Make a page whose first clip and caption would run scripts if they could."""
    folder = tmp_path_factory.mktemp("page")
    captions = [NASTY, *(f"caption of clip {clip}" for clip in range(1, 12))]
    index = pack_clips(folder / "shards", captions=captions)
    embeddings = name_clips(make_embeddings(noise=3.0), index, first=NASTY_ID)
    embeddings = dataclasses.replace(embeddings, queries=(NASTY, *embeddings.queries[1:]))
    make_page(folder, embeddings, index, scores=("volume", "volume+rerank"))
    return folder / "report/retrieval/run/toys.html"


@pytest.fixture
def opened(page: Path) -> Iterator[Browser]:
    with browser() as seen:
        seen.look(width=1000)
        seen.open(page)
        yield seen


def asked_elsewhere(seen: Browser, folder: Path) -> list[str]:
    inside = (folder.as_uri(), "data:image/jpeg;base64,")
    return [address for address in seen.requests if not address.startswith(inside)]


def test_the_page_asks_for_nothing_and_complains_of_nothing(opened: Browser, page: Path) -> None:
    assert page.as_uri() in opened.requests
    assert asked_elsewhere(opened, page) == []
    assert opened.said == []


def test_a_policy_that_is_broken_would_be_told(opened: Browser) -> None:
    opened.run("document.body.insertAdjacentHTML('beforeend', '<img src=\"http://a.test/x.png\">')")
    opened.run("new Promise(done => setTimeout(done, 100))")
    assert opened.run("document.title").startswith("Retrieval")
    assert any("Content Security Policy" in text for text in opened.said)


def test_hostile_captions_and_names_are_shown_as_text(opened: Browser) -> None:
    assert opened.run("document.title") == "Retrieval: volume_tva on toys"
    seen = opened.run("document.body.innerText")
    assert NASTY in seen
    assert NASTY_ID in opened.run("document.body.textContent")
    assert opened.run("document.querySelectorAll('img, script').length") == 1  # our script


def test_one_view_is_seen_at_a_time(opened: Browser) -> None:
    assert opened.run(SHOWN) == 12
    opened.run("choose.value = 'v1'; choose.dispatchEvent(new Event('change'))")
    assert opened.run("document.querySelector('.view:not([hidden]) h2').innerText") == (
        "volume, clip → text"
    )
    assert opened.run("location.hash") == "#v1"


def test_an_address_opens_its_view(page: Path) -> None:
    with browser() as seen:
        seen.look(width=1000)
        seen.open(page, fragment="v2")
        assert seen.run("choose.value") == "v2"


def test_the_filter_is_reached_and_emptied_by_keys(opened: Browser) -> None:
    opened.press("/")
    assert opened.run("document.activeElement.id") == "filter"
    for key in "document.title":
        opened.press(key)
    shown = opened.run(SHOWN)
    assert 0 < shown < 12
    assert opened.run("count.value") == f"{shown} of 12 queries"
    opened.press("Escape")
    assert opened.run(SHOWN) == 12


def test_words_that_nothing_has_leave_a_sentence(opened: Browser) -> None:
    opened.run("filter.value = 'no such word'; filter.dispatchEvent(new Event('input'))")
    assert opened.run(SHOWN) == 0
    assert "No query has these words." in opened.run("document.body.innerText")


def test_failures_are_shown_alone(opened: Browser) -> None:
    firsts = opened.run("document.querySelectorAll('#v0 [data-first]').length")
    assert firsts > 0
    opened.run("failures.click()")
    assert opened.run(SHOWN) == 12 - firsts


def test_keys_go_from_query_to_query(opened: Browser) -> None:
    number = "[...document.querySelectorAll('#v0 .query')].indexOf(document.activeElement)"
    found = []
    for key in "jjkk":
        opened.press(key)
        found.append(opened.run(number))
    assert found == [0, 1, 0, 0]


def test_all_is_reached_by_the_tabulator(opened: Browser) -> None:
    reached = []
    for _ in range(5):
        opened.press("Tab")
        reached.append(opened.run("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:4] == ["A", "choose", "filter", "failures"]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(page: Path, width: int, scheme: str) -> None:
    with browser() as seen:
        seen.look(width=width, scheme=scheme)
        seen.open(page)
        assert seen.run("document.documentElement.scrollWidth") == width


def test_colors_follow_the_reader(opened: Browser) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = opened.run(background)
    opened.look(width=1000, scheme="dark")
    assert opened.run(background) != light
