"""Subtitles beside media files."""

from pathlib import Path

import pytest

from gram.data.own_media import spoken_text, subtitle_beside

SRT = "1\r\n00:00:01,000 --> 00:00:02,500\r\n- Good <b>morning</b>.\r\n{\\an8}Up here\r\n\r\n2\r\n"
SRT += "00:00:03,000 --> 00:00:04,000\r\n42\r\n"
VTT = "WEBVTT - title\n\nNOTE a note\nof two lines\n\nSTYLE\n::cue {}\n\nintro\n00:01.000 --> "
VTT += "00:02.000 align:start\n<v Ann>Hello\n\n00:03.000 --> 00:04.000\nthere <00:03.500>you\n"


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        pytest.param(SRT, "- Good morning. Up here 42", id="SubRip"),
        pytest.param(VTT, "Hello there you", id="WebVTT"),
        pytest.param("", "", id="empty"),
        pytest.param("no times at all\n", "", id="no cues"),
    ],
)
def test_of_subtitles_the_words_are_taken(text: str, spoken: str) -> None:
    assert spoken_text(text) == spoken


def test_the_file_beside_a_film_is_found(tmp_path: Path) -> None:
    film = tmp_path / "a.b.mp4"
    assert subtitle_beside(film) is None
    (tmp_path / "a.b.txt").write_text(" as it is \n", encoding="utf-8")
    assert subtitle_beside(film) == "as it is"
    (tmp_path / "a.b.srt").write_text(SRT, encoding="utf-8-sig")
    assert subtitle_beside(film) == "- Good morning. Up here 42"


def test_a_subtitle_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(b"caf\xe9 \xff")
    with pytest.raises(ValueError, match=r"a\.srt is not text in UTF-8 .* at byte 3\); convert it"):
        subtitle_beside(tmp_path / "a.mp4")
