from pathlib import Path

import pytest

from gram.fetch.content import check_content, is_page, is_served_as_page, page_title


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", b"PK\x03\x04rest"),
        ("a.tar.gz", b"\x1f\x8b\x08rest"),
        ("a.tar", bytes(257) + b"ustar\x00"),
        ("a.mp4", b"\x00\x00\x00\x18ftypmp42"),
        ("a.MOV", b"\x00\x00\x00\x08wide"),
        ("a.webm", b"\x1a\x45\xdf\xa3"),
        ("a.json", b'\xef\xbb\xbf  [{"a": "<html>"}]'),
        ("a.csv", b"id,caption\na,<b>bold</b>\n"),
        ("a.txt", "h\u00e9".encode()),
        ("a.html", b"<!doctype html>"),
        ("a.pt", b"\x80\x02"),
        ("a.unknown", b"\x00\x01\x02"),
    ],
)
def test_a_file_that_is_what_its_name_says_is_taken(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "part"
    path.write_bytes(content)
    assert check_content(path, name=name) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.zip", b"Rar!", "it is not a ZIP archive: it begins with b'Rar!'"),
        ("a.json", b"version https://git-lfs", "it is not JSON: it begins with b'version https"),
        ("a.csv", b"\x1f\x8b\x00", "it is not text"),
        ("a.unknown", b"\n <HTML><body>", "it is a page of HTML"),
        ("a.mp4", b"<!-- x --><!DOCTYPE HTML>", "it is a page of HTML"),
        ("a.csv", b'<?xml version="1.0"?>\n<!DOCTYPE html>', "it is a page of HTML"),
        (
            "a.bin",
            b"<script>x</script><title>Login</title>",
            "it is a page of HTML titled 'Login'",
        ),
        ("a.csv", b'\xef\xbb\xbf {"error": "no"}', "it is markup or JSON and not lines of text"),
        ("a.txt", b"<Error><Code>AccessDenied</Code></Error>", "it is markup or JSON"),
    ],
)
def test_a_file_that_is_something_else_is_described(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "part"
    path.write_bytes(content)
    assert (check_content(path, name=name) or "").startswith(words)


@pytest.mark.parametrize(
    ("media_type", "name", "is_page"),
    [
        ("text/html", "a.csv", True),
        ("Text/HTML; charset=utf-8", "a.bin", True),
        ("application/xhtml+xml", "a.txt", True),
        ("text/plain", "a.csv", False),
        ("", "a.csv", False),
        ("text/html", "a.html", False),
        ("text/html", "a.zip", False),
        ("text/html", "a.json", False),
    ],
)
def test_what_the_server_calls_a_page_is_one_where_no_mark_tells(
    media_type: str, name: str, is_page: bool
) -> None:
    assert is_served_as_page(media_type, name=name) is is_page


def test_comments_without_a_page_are_read_once() -> None:
    assert not is_page(b"<!---->" * 580)


def test_a_page_is_told_from_text_that_speaks_of_one() -> None:
    assert is_page(b"\xef\xbb\xbf<html lang='en'>")
    assert not is_page(b"the <html> tag")


def test_a_title_over_two_lines_is_one_line() -> None:
    assert page_title(b"<TITLE>\n Sign\n in </TITLE>") == " titled 'Sign in'"
