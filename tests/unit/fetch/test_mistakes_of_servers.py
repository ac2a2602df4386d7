"""Answers and states that make no sense: each ends in the file, or in a named error."""

import gzip
import json
import time
from pathlib import Path

import pytest

from gram.data.status import Status
from gram.fetch.download import download
from gram.fetch.errors import FetchError
from tests.unit.fetch.served import (
    CONTENT,
    GOOD,
    SHA256,
    Asked,
    Reply,
    fetch,
    left,
    patience,
    serve,
)

CUT = Reply(content=CONTENT, cut=1000)
LAST = len(CONTENT) - 1
ELSEWHERE = Reply(
    code=206, content=CONTENT, headers={"Content-Range": f"bytes 7-{LAST}/{len(CONTENT)}"}
)


def test_there_is_no_rest_of_what_was_not_begun(tmp_path: Path) -> None:
    nothing = Reply(code=416)
    with serve([nothing]) as server, pytest.raises(FetchError, match="answers 416") as error:
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert error.value.status is Status.DEAD
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "address",
    ["http://[::1/x", "http://h\xff\xfe/x", "http://[x]/", "http:///x", "http://h:port/"],
)
def test_an_address_that_cannot_be_read_is_named(address: str, tmp_path: Path) -> None:
    moved = Reply(code=302, headers={"Location": address})
    with serve([moved]) as server, pytest.raises(FetchError, match="correct the address") as error:
        fetch(server, tmp_path)
    assert server.url in str(error.value)
    assert error.value.status is Status.DEAD
    if address.isascii():
        with pytest.raises(FetchError, match="correct the address"):
            download(address, tmp_path / "b.bin", patience=patience())


@pytest.mark.parametrize(
    "state",
    [
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b"[]",
        b"3",
        {"total_bytes": "many"},
        {"total_bytes": -1},
        {"total_bytes": [3]},
        {"validator": 3},
        {"validator": "a\nb"},
        {"url": None},
    ],
    ids=repr,
)
def test_a_part_that_belongs_to_nothing_is_not_gone_on_with(
    state: bytes | dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".a.bin.part").write_bytes(b"x" * 1000)
    with serve([GOOD]) as server:
        if isinstance(state, dict):
            good = {"url": server.at("a.bin"), "validator": '"one"'}
            state = json.dumps(good | state).encode()
        (tmp_path / ".a.bin.part.json").write_bytes(state)
        assert fetch(server, tmp_path).sha256 == SHA256
    assert [one.offset for one in server.asked] == [0]
    assert "does not say what the part beside it belongs to" in caplog.text
    assert left(tmp_path) == ["a.bin"]


def test_a_wrong_range_is_answered_by_starting_over(tmp_path: Path) -> None:
    with serve([CUT, ELSEWHERE, GOOD]) as server:
        assert fetch(server, tmp_path).sha256 == SHA256
    assert [one.offset for one in server.asked] == [0, 1000, 0]
    assert "Range" not in server.asked[-1].headers


def test_ranges_that_are_always_wrong_end_the_download(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return ELSEWHERE if "Range" in asked.headers else CUT

    for _ in range(2):  # each start begins anew
        with serve(answer) as server, pytest.raises(FetchError, match="also after start") as error:
            fetch(server, tmp_path)
        assert [one.offset for one in server.asked] == [0, 1000, 0, 1000]
        assert "look for another address" in str(error.value)
        assert left(tmp_path) == []


def test_a_part_of_one_start_is_started_over_in_the_next(tmp_path: Path) -> None:
    with serve([CUT]) as server, pytest.raises(FetchError):
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience(tries=1))
    state = tmp_path / ".a.bin.part.json"

    def answer(asked: Asked) -> Reply:
        return ELSEWHERE if "Range" in asked.headers else GOOD

    with serve(answer) as server:
        known = json.loads(state.read_text(encoding="utf-8"))
        state.write_text(json.dumps(known | {"url": server.at("a.bin")}), encoding="utf-8")
        assert fetch(server, tmp_path).sha256 == SHA256
    assert [one.offset for one in server.asked] == [1000, 0]


@pytest.mark.parametrize(
    "heads",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 25",
        b'HTTP/1.1 200 OK\r\nETag: "two"\r\nContent-Type: text/html',
        b"HTTP/1.1 206 Partial Content\r\nContent-Le",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 255000\r\nContent-Range: bytes 10",
    ],
)
def test_a_connection_cut_in_the_headers_costs_a_try_and_no_byte(
    heads: bytes, tmp_path: Path
) -> None:
    with serve([CUT, Reply(raw=heads), GOOD]) as server:
        fetched = download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert fetched.sha256 == SHA256
    assert [one.offset for one in server.asked] == [0, 1000, 1000]


def test_headers_that_are_always_cut_are_a_matter_of_the_network(tmp_path: Path) -> None:
    cut = Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le")
    with serve([cut]) as server, pytest.raises(FetchError, match="before the first byte") as error:
        download(server.at("a.csv"), tmp_path / "a.csv", patience=patience())
    assert error.value.status is Status.NETWORK
    assert len(server.asked) == 6


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}], ids=["plain", "packed"])
def test_a_server_that_drips_is_not_listened_to_for_ever(
    headers: dict[str, str], tmp_path: Path
) -> None:
    content = gzip.compress(CONTENT, mtime=0)[:200] if headers else CONTENT[:200]
    drip = Reply(content=content, drip_seconds=0.05, headers=headers)
    few = patience(tries=2)
    with serve([drip]) as server, pytest.raises(FetchError, match="sends too slowly: ") as error:
        download(server.at("a.bin"), tmp_path / "a.bin", patience=few)
    assert error.value.status is Status.NETWORK
    assert "given up after 2 tries" in str(error.value)
    assert len(server.asked) == 2


def test_a_rate_that_was_asked_for_is_no_drip(tmp_path: Path) -> None:
    slow = patience(bytes_per_second=2000, stall_seconds=0.3, sleep=time.sleep)
    content = CONTENT[:1500]
    with serve([Reply(content=content, drip_seconds=0.0)]) as server:
        download(server.at("a.bin"), tmp_path / "a.bin", patience=slow)
    assert (tmp_path / "a.bin").read_bytes() == content


def lengths(*said: int) -> bytes:
    """Give the headers of an answer with these lengths."""
    lines = "".join(f"Content-Length: {length}\r\n" for length in said)
    return f"HTTP/1.1 200 OK\r\nConnection: close\r\n{lines}\r\n".encode()


@pytest.mark.parametrize("said", [(len(CONTENT), 7), (7, len(CONTENT))], ids=["less", "more"])
def test_two_lengths_of_one_answer_are_an_error(said: tuple[int, int], tmp_path: Path) -> None:
    words = r"a.bin sends headers that contradict one another \(.*Content-Length.*\), so that"
    both = Reply(raw=lengths(*said) + CONTENT)
    with serve([both]) as server, pytest.raises(FetchError, match=words) as error:
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert error.value.status is Status.UNREADABLE
    assert len(server.asked) == 1
    assert left(tmp_path) == []


def test_a_length_that_is_said_twice_alike_tells_of_a_cut(tmp_path: Path) -> None:
    twice = lengths(len(CONTENT), len(CONTENT))
    cut = Reply(raw=twice + CONTENT[:1000])
    with serve([cut, Reply(raw=twice + CONTENT)]) as server:
        fetched = download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert fetched.path.read_bytes() == CONTENT
    assert len(server.asked) == 2


LOGIN = b"<div>x</div><title>Login</title>"
AS_PAGE = {"Content-Type": "text/html; charset=utf-8"}


def test_what_is_sent_as_a_page_is_not_taken_for_data(tmp_path: Path) -> None:
    reply = Reply(content=b"Log in, please", headers=AS_PAGE)
    with serve([reply]) as server, pytest.raises(FetchError, match="sends it as 'text/html; ch"):
        download(server.at("a.csv"), tmp_path / "a.csv", patience=patience())
    assert len(server.asked) == 1
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["a.html", "a.htm"])
def test_a_page_that_is_wanted_is_taken(name: str, tmp_path: Path) -> None:
    with serve([Reply(content=LOGIN, headers=AS_PAGE)]) as server:
        fetched = download(server.at(name), tmp_path / name, patience=patience())
    assert fetched.path.read_bytes() == LOGIN


def test_a_checksum_tells_more_than_what_the_server_says(tmp_path: Path) -> None:
    with serve([Reply(content=CONTENT, headers=AS_PAGE)]) as server:
        assert fetch(server, tmp_path).sha256 == SHA256
