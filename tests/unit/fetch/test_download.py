import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram.data.status import Status
from gram.fetch.download import Expected, download
from gram.fetch.errors import FetchError
from gram.fetch.patience import Patience
from tests.unit.fetch.served import (
    CONTENT,
    GOOD,
    PAGE,
    SHA256,
    WHOLE,
    Asked,
    Reply,
    Waits,
    fetch,
    left,
    patience,
    serve,
)

# --- the right file in the end -------------------------------------------------------------------

CUT = Reply(content=CONTENT, cut=1000)


@pytest.mark.parametrize(
    ("answers", "offsets"),
    [
        pytest.param([GOOD], [0], id="at_once"),
        pytest.param([CUT, GOOD], [0, 1000], id="cut"),
        pytest.param([CUT, Reply(content=CONTENT, cut=500), GOOD], [0, 1000, 1500], id="cut_twice"),
        pytest.param([Reply(content=CONTENT, stall=700), GOOD], [0, 700], id="stalls"),
        pytest.param([Reply(code=503), Reply(code=500), GOOD], [0, 0, 0], id="server_error"),
        pytest.param([Reply(code=408), GOOD], [0, 0], id="request_timeout"),
        pytest.param([Reply(code=429), GOOD], [0, 0], id="too_many"),
        pytest.param(
            [CUT, Reply(content=CONTENT, ranges=False)], [0, 1000], id="ranges_are_ignored"
        ),
        pytest.param(
            [Reply(content=b"x" * len(CONTENT), tag='"old"', cut=1000), GOOD],
            [0, 1000],
            id="changed",
        ),
        pytest.param(
            [
                Reply(content=b"x" * len(CONTENT), tag='"old"', cut=1000),
                Reply(content=CONTENT, is_blind=True),
                GOOD,
            ],
            [0, 1000, 0],
            id="changed_and_if_range_ignored",
        ),
        pytest.param(
            [Reply(content=b"x" * len(CONTENT), tag=None, cut=1000), Reply(content=CONTENT), GOOD],
            [0, 1000, 0],
            id="changed_without_a_tag",
        ),
        pytest.param([Reply(content=CONTENT, tag=None, has_length=False)], [0], id="no_length"),
        pytest.param([Reply(code=302, headers={"Location": "/b.bin"}), GOOD], [0, 0], id="moved"),
    ],
)
def test_the_right_file_comes(answers: Sequence[Reply], offsets: list[int], tmp_path: Path) -> None:
    with serve(answers) as server:
        fetched = fetch(server, tmp_path)
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.sha256 == SHA256
    assert [one.offset for one in server.asked] == offsets
    assert left(tmp_path) == ["a.bin"]


def test_a_part_without_anything_to_check_it_by_is_not_gone_on_with(tmp_path: Path) -> None:
    cut = Reply(content=CONTENT, tag=None, cut=1000)
    with serve([cut, Reply(content=CONTENT, tag=None)]) as server:
        fetched = download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert [one.offset for one in server.asked] == [0, 0]
    assert fetched.sha256 == SHA256


@pytest.mark.parametrize(
    "tag", ['W/"one"', '"\xe9\xff"', '"a\tb"'], ids=["weak", "not ASCII", "not printable"]
)
def test_a_tag_that_says_too_little_is_not_relied_on(tag: str, tmp_path: Path) -> None:
    cut = Reply(content=CONTENT, tag=tag, cut=1000)
    with serve([cut, Reply(content=CONTENT, tag=tag)]) as server:
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert [one.offset for one in server.asked] == [0, 0]


@pytest.mark.parametrize(
    ("expected", "offsets"), [(None, [0, 1000, 0]), (WHOLE, [0, 1000])], ids=["no", "checksum"]
)
def test_a_rest_of_an_unnamed_state_is_joined_only_under_a_checksum(
    expected: Expected | None, offsets: list[int], tmp_path: Path
) -> None:
    old = CONTENT if expected is not None else b"x" * len(CONTENT)
    cut, rest = Reply(content=old, cut=1000), Reply(content=CONTENT, tag=None, is_blind=True)
    with serve([cut, rest, GOOD]) as server:
        fetched = download(
            server.at("a.bin"), tmp_path / "a.bin", expected=expected, patience=patience()
        )
    assert fetched.sha256 == SHA256
    assert [one.offset for one in server.asked] == offsets


def test_the_part_of_another_address_is_not_gone_on_with(tmp_path: Path) -> None:
    few = patience(tries=1)
    with serve([CUT, GOOD]) as server:
        with pytest.raises(FetchError):
            download(server.at("b.bin"), tmp_path / "a.bin", expected=WHOLE, patience=few)
        fetch(server, tmp_path)
    assert [one.offset for one in server.asked] == [0, 0]


def test_a_whole_part_is_not_asked_for_again(tmp_path: Path) -> None:
    part = tmp_path / ".a.bin.part"
    with serve([CUT, GOOD]) as server:
        with pytest.raises(FetchError):
            download(server.at("a.bin"), tmp_path / "a.bin", patience=patience(tries=1))
        part.write_bytes(CONTENT)
        fetched = fetch(server, tmp_path)
    assert fetched.sha256 == SHA256
    assert [one.offset for one in server.asked] == [0, len(CONTENT)]


def test_a_file_that_is_there_is_not_fetched(tmp_path: Path) -> None:
    with serve([GOOD]) as server:
        fetch(server, tmp_path)
        again = fetch(server, tmp_path)
    assert not again.is_new
    assert len(server.asked) == 1


# --- waits ---------------------------------------------------------------------------------------


def test_waits_double_with_jitter(tmp_path: Path) -> None:
    waits = Waits()
    with serve([Reply(code=503)] * 4 + [GOOD]) as server:
        fetch(server, tmp_path, waits=waits)
    assert [round(wait / 2**number, 6) for number, wait in enumerate(waits)] == [
        pytest.approx(0.75, abs=0.25) for _ in range(4)
    ]


def test_progress_starts_the_count_of_failures_anew(tmp_path: Path) -> None:
    pieces = len(CONTENT) // 20000
    with serve([Reply(content=CONTENT, cut=20000)] * pieces + [GOOD]) as server:
        assert fetch(server, tmp_path).sha256 == SHA256
    assert len(server.asked) > Patience().tries


@pytest.mark.parametrize("is_a_date", [False, True], ids=["seconds", "date"])
def test_the_wait_that_the_server_asks_for_is_kept(is_a_date: bool, tmp_path: Path) -> None:
    then = datetime.now(UTC) + timedelta(seconds=67)
    asked = format_datetime(then) if is_a_date else "7"
    waits = Waits()
    with serve([Reply(code=429, headers={"Retry-After": asked}), GOOD]) as server:
        fetch(server, tmp_path, waits=waits)
    assert 1.0 < waits[0] <= 67.0 if is_a_date else waits[0] == 7.0


def test_a_wait_of_hours_ends_the_download_with_its_length(tmp_path: Path) -> None:
    with (
        serve([Reply(code=429, headers={"Retry-After": "9000"})]) as server,
        pytest.raises(FetchError, match="it asks to wait 9000 s: start again after that") as error,
    ):
        fetch(server, tmp_path)
    assert error.value.status is Status.THROTTLED


def test_the_rate_is_kept(tmp_path: Path) -> None:
    waits = Waits()
    slow = patience(waits, bytes_per_second=len(CONTENT) // 10, clock=lambda: 0.0)
    with serve([GOOD]) as server:
        download(server.at("a.bin"), tmp_path / "a.bin", expected=WHOLE, patience=slow)
    assert waits[-1] == pytest.approx(10.0)


# --- named errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answers", "message", "status"),
    [
        (
            "a.zip",
            [Reply(content=PAGE)],
            "it is a page of HTML titled 'Quota & more'",
            Status.UNREADABLE,
        ),
        ("a.json", [Reply(content=b"PK\x03\x04\0")], "it is not text", Status.UNREADABLE),
        ("a.json", [Reply(content=b"not json")], "it is not JSON", Status.UNREADABLE),
        ("a.mp4", [Reply(content=CONTENT)], "it is not an MP4 file", Status.UNREADABLE),
        ("a.csv", [Reply(content=b"")], "it is empty", Status.UNREADABLE),
        ("a.csv", [Reply(code=404)], "answers 404 Not Found: it is not there", Status.DEAD),
        ("a.csv", [Reply(code=403)], "it is not for everybody; ask for access", Status.PRIVATE),
        ("a.csv", [Reply(code=451)], "may not be shown in this country", Status.REGION),
        (
            "a.csv",
            [Reply(code=400, content=PAGE)],
            "that is no file titled 'Quota & more'",
            Status.DEAD,
        ),
        ("a.csv", [Reply(code=503)], "given up after 6 tries without progress", Status.NETWORK),
        ("a.csv", [Reply(content=b"a,b", stall=0)], "given up after 6 tries", Status.TIMEOUT),
        (
            "a.csv",
            [Reply(code=302, headers={"Location": "/a.csv"})],
            "sends on more than 8 times",
            Status.DEAD,
        ),
        (
            "a.csv",
            [Reply(code=302, headers={"Location": "file:///etc/hostname"})],
            "which is no address of http or https",
            Status.DEAD,
        ),
    ],
)
def test_what_cannot_be_had_is_a_named_error(
    name: str, answers: list[Reply], message: str, status: Status, tmp_path: Path
) -> None:
    with serve(answers) as server, pytest.raises(FetchError) as error:
        download(server.at(name), tmp_path / name, patience=patience())
    assert message in str(error.value)
    assert server.url in str(error.value)
    assert error.value.status is status
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (Expected(sha256="0" * 64), f"its SHA-256 is {SHA256}, and not {'0' * 64}"),
        (Expected(bytes=5), "has 256,000 bytes, and not 5"),
    ],
    ids=["checksum", "size"],
)
@pytest.mark.parametrize("has_length", [True, False], ids=["announced", "unannounced"])
def test_another_file_than_expected_is_not_kept(
    expected: Expected, message: str, has_length: bool, tmp_path: Path
) -> None:
    if not has_length:
        message = message.replace("has 256,000 bytes, and not 5", "has more than 5 bytes")
    with (
        serve([Reply(content=CONTENT, has_length=has_length)]) as server,
        pytest.raises(FetchError) as error,
    ):
        download(server.at("a.bin"), tmp_path / "a.bin", expected=expected, patience=patience())
    assert message in str(error.value)
    assert left(tmp_path) == []


def test_a_page_of_another_size_than_expected_is_quoted(tmp_path: Path) -> None:
    with serve([Reply(content=PAGE)]) as server, pytest.raises(FetchError) as error:
        fetch(server, tmp_path)
    assert "and not 256,000: it is a page of HTML titled 'Quota & more'" in str(error.value)


def test_a_file_that_is_there_and_differs_is_named_and_left(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with serve([GOOD]) as server, pytest.raises(FetchError, match="is there, but it has 4 bytes"):
        fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"
    assert server.asked == []


def test_https_does_not_lead_to_http() -> None:
    from gram.fetch.http import check_address

    with pytest.raises(FetchError, match="without encryption, where anybody could change"):
        check_address("http://example.org/a", came_from="https://example.org/a")


@pytest.mark.parametrize("url", ["ftp://example.org/a", "file:///a", "a.zip", "http:///a"])
def test_only_http_is_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no address of http or https"):
        download(url, tmp_path / "a", patience=patience())


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serve([GOOD]) as server:
        pass
    with pytest.raises(FetchError, match="breaks the connection") as error:
        fetch(server, tmp_path)
    assert error.value.status is Status.NETWORK


# --- nothing half under the final name -----------------------------------------------------------

FAULTS = st.one_of(
    st.builds(Reply, content=st.just(CONTENT), cut=st.integers(0, len(CONTENT))),
    st.builds(Reply, content=st.just(CONTENT), cut=st.integers(0, 9000), ranges=st.just(False)),
    st.builds(Reply, code=st.sampled_from([404, 429, 500, 503])),
    st.builds(Reply, content=st.sampled_from([PAGE, b"", CONTENT[:-1], CONTENT + b"x"])),
    st.builds(Reply, content=st.just(CONTENT[::-1]), tag=st.just('"two"'), cut=st.integers(0, 9)),
    st.builds(Reply, content=st.just(CONTENT[::-1]), tag=st.none(), cut=st.integers(0, 90000)),
)


@settings(max_examples=40, deadline=None)
@given(answers=st.lists(FAULTS, max_size=6))
def test_the_final_name_is_of_the_whole_file_or_of_none(answers: list[Reply]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a.bin"

        def is_right() -> bool:
            return not target.exists() or target.read_bytes() == CONTENT

        def answer(_: Asked) -> Reply:
            assert is_right()
            return answers.pop(0) if answers else GOOD

        few = patience(tries=2)
        with serve(answer) as server:
            for _ in range(10):
                try:
                    download(server.at("a.bin"), target, expected=WHOLE, patience=few)
                    break
                except FetchError:
                    assert is_right()
        assert target.read_bytes() == CONTENT


CHILD = """
import sys
from pathlib import Path
from gram.fetch.download import Expected, download
download(sys.argv[1], Path(sys.argv[2]), expected=Expected(sha256=sys.argv[3]))
"""


@pytest.mark.parametrize("stop", [1, 70_000, len(CONTENT) - 1])
def test_a_killed_process_is_gone_on_with(stop: int, tmp_path: Path) -> None:
    target, part = tmp_path / "a.bin", tmp_path / ".a.bin.part"
    with serve([Reply(content=CONTENT, stall=stop, stall_seconds=30), GOOD]) as server:
        child = subprocess.Popen([sys.executable, "-c", CHILD, server.at("a.bin"), target, SHA256])
        until = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size == stop):
            assert time.monotonic() < until
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not target.exists()
        fetch(server, tmp_path)
    assert target.read_bytes() == CONTENT
    assert [one.offset for one in server.asked] == [0, stop]


def test_two_processes_fetch_once(tmp_path: Path) -> None:
    def slow(_: Asked) -> Reply:
        time.sleep(0.5)
        return GOOD

    target = tmp_path / "a.bin"
    with serve(slow) as server:
        command = [sys.executable, "-c", CHILD, server.at("a.bin"), target, SHA256]
        children = [subprocess.Popen(command) for _ in range(2)]
        assert [child.wait() for child in children] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1
