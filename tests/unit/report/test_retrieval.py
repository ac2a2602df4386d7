"""What a retrieval page says, of which queries, and how large it is."""

import dataclasses
import re
from html import unescape
from pathlib import Path

import pytest
import torch

from tests.unit.report.pages import (
    NASTY,
    NASTY_ID,
    MakeEmbeddings,
    PackClips,
    make_page,
    name_clips,
)


@pytest.fixture
def index(pack_clips: PackClips, tmp_path: Path) -> Path:
    captions = [f"caption of clip {clip}" for clip in range(12)]
    return pack_clips(tmp_path / "shards", captions=captions)


def views_of(html: str) -> list[str]:
    return html.split('<section class="view"')[1:]


def ranks_of(view: str) -> list[int]:
    return [int(rank) for rank in re.findall(r'class="rank \w+">rank (\d+)', view)]


def test_each_score_is_shown_in_both_directions(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    html = make_page(tmp_path, make_embeddings(), index, scores=("volume", "cosine_mean"))
    titles = [re.findall(r"<h2>(.*?)</h2>", view) for view in views_of(html)]
    assert titles == [
        ["volume, text → clip"],
        ["volume, clip → text"],
        ["cosine_mean, text → clip"],
        ["cosine_mean, clip → text"],
    ]


def test_the_worst_come_first(make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path) -> None:
    views = views_of(make_page(tmp_path, make_embeddings(noise=3.0), index))
    for view in views:
        ranks = ranks_of(view)
        assert ranks == sorted(ranks, reverse=True)
        assert len(ranks) == 12
        assert ranks[0] > 1


def test_as_many_are_shown_as_the_settings_say_and_the_page_says_so(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    embeddings = make_embeddings(noise=3.0)
    html = make_page(tmp_path, embeddings, index, failures=3, others=2, retrieved=2)
    for view in views_of(html):
        assert view.count("<article") == 5
        assert view.count('<li class="candidate') <= 5 * 3
        assert "5 of 12 queries shown" in view
    shown = " ".join(html.split())
    assert "fail worst, 3 at most, and 2 at most of the others" in shown
    assert "Each has its nearest 2" in shown


def test_the_recalls_are_those_of_the_scores(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    view, _ = views_of(make_page(tmp_path, make_embeddings(noise=2.0), index))
    firsts = [rank == 1 for rank in ranks_of(view)]
    assert f"R@1 {100 * sum(firsts) / 12:.1f} % (" in view


def test_a_picture_stands_once_on_the_page(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    html = make_page(tmp_path, make_embeddings(), index)
    assert html.count("data:image/jpeg;base64,") == 12
    assert "12 pictures" in html


def test_a_long_text_is_cut(make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path) -> None:
    embeddings = make_embeddings()
    long = dataclasses.replace(embeddings, queries=("x" * 100_000, *embeddings.queries[1:]))
    html = make_page(tmp_path, long, index)
    assert len(html) < 150_000
    assert f"{'x' * 399}…" in html


def test_what_the_head_read_comes_first_with_its_probability(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    html = make_page(tmp_path, make_embeddings(noise=3.0), index, scores=("volume+rerank",))
    to_clip, _ = views_of(html)
    for query in to_clip.split("<article")[1:]:
        told = re.findall(r'class="score">(.*?)<', query)
        assert told[:3] == ["match 90.0 %", "match 50.0 %", "match 10.0 %"]
        assert set(told[3:]) == {"not read"}


def test_a_score_that_is_fitted_on_a_split_is_shown(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    html = make_page(
        tmp_path,
        make_embeddings(noise=2.0),
        index,
        scores=("volume+bank",),
        fitted_on=make_embeddings(clips=20),
    )
    for view in views_of(html):
        (best,) = re.findall(r"R@1 ([\d.]+) %", view)
        assert 100 * ranks_of(view).count(1) / 12 == pytest.approx(float(best), abs=0.1)


def test_a_score_that_is_fitted_on_halves_is_left_out_with_a_sentence(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    html = make_page(tmp_path, make_embeddings(), index, scores=("volume", "volume+bank@20"))
    assert len(views_of(html)) == 2
    assert "volume+bank@20 is not shown: it was fitted on one half of the clips" in html


def test_a_class_has_no_clip_of_its_own(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    embeddings = make_embeddings()
    classes = dataclasses.replace(
        embeddings,
        task="classification",
        queries=("barking", "singing", "rain"),
        text_qd=embeddings.text_qd[:3],
        text_group_q=torch.arange(3),
        clip_group_n=torch.arange(12) % 3,
    )
    to_clip, to_text = views_of(make_page(tmp_path, classes, index))
    assert to_clip.count("<article") == 3
    assert to_text.count("<article") == 12
    assert 'class="bare"' in to_text
    assert 'class="bare"' not in to_clip
    assert "barking" in to_text


def test_captions_and_names_of_files_are_text(
    make_embeddings: MakeEmbeddings, pack_clips: PackClips, tmp_path: Path
) -> None:
    index = pack_clips(tmp_path / "shards", captions=[NASTY] * 12)
    embeddings = name_clips(make_embeddings(), index, first=NASTY_ID)
    embeddings = dataclasses.replace(embeddings, queries=(NASTY,) * 12)
    html = make_page(tmp_path, embeddings, index)
    assert html.count("<script>") == 1  # ours
    assert not re.search(r"<(img|b)\b", html)
    assert NASTY in unescape(html)
    assert NASTY_ID in unescape(html)


def test_made_twice_the_page_has_the_same_bytes(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    first = make_page(tmp_path / "first", make_embeddings(), index)
    assert make_page(tmp_path / "second", make_embeddings(), index) == first


def test_training_on_the_gallery_is_warned_of(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    html = make_page(tmp_path, make_embeddings(trained_on=5), index)
    assert "5 of the 12 gallery clips were trained on" in html


def test_a_score_that_was_not_computed_is_named(
    make_embeddings: MakeEmbeddings, index: Path, tmp_path: Path
) -> None:
    make_page(tmp_path, make_embeddings(), index)
    text = (tmp_path / "toys.json").read_text(encoding="utf-8")
    (tmp_path / "toys.json").write_text(text.replace('"volume": {', '"residual": {'))
    from gram.config import ProtocolConfig, ReportConfig
    from gram.jobs import PageSettings
    from gram.report.retrieval import show_retrieval

    with pytest.raises(ValueError, match=r"lack 'volume'; they hold residual; add it to evalu"):
        show_retrieval(
            PageSettings(
                report=ReportConfig(), protocol=ProtocolConfig(), shown_scores=("volume",)
            ),
            scores=tmp_path / "toys.json",
            embeddings=tmp_path / "embeddings",
            fit_folder=None,
            matches=None,
            index=index,
            output=tmp_path / "page.html",
        )
