"""Progress as lines in a log, and as a bar in a terminal, which is a pseudo-terminal here."""

import logging
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gram import progress
from gram.progress import track

ROOT = Path(__file__).parents[2]

SLOW = """
import logging, sys, time
from gram import progress
logging.basicConfig(filename=sys.argv[1], level=logging.INFO)
progress.LINE_SECONDS = 0.2
total = int(sys.argv[3])
for _ in progress.track(range(total), total=total, label=sys.argv[2], unit="clips"):
    time.sleep(0.06)
"""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a line for every item."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)


def work(total: int = 5, *, start: int = 0) -> list[int]:
    items = range(start, total)
    return list(track(items, total=total, label="packing toys", unit="clips", start=start))


# --- in a log ---------------------------------------------------------------------------------


def test_items_are_passed_on_in_order() -> None:
    assert work(5) == [0, 1, 2, 3, 4]


def test_items_are_taken_when_they_are_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            taken.append(number)
            yield number

    next(track(items(), total=3, label="packing toys", unit="clips"))
    assert taken == [0]


def test_an_error_of_the_work_is_passed_on() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        list(track(items(), total=3, label="packing toys", unit="clips"))


@pytest.mark.usefixtures("often")
def test_a_line_says_what_is_done_how_fast_and_what_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    work(5)
    form = r"packing toys: 2 of 5 clips, \d+\.\d a second, \d+ s left"
    assert re.fullmatch(form, caplog.messages[1])


@pytest.mark.usefixtures("often")
def test_items_of_an_earlier_job_count_as_done(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    work(5, start=3)
    assert caplog.messages[0].startswith("packing toys: 4 of 5 clips, ")


def test_the_last_line_tells_how_long_it_took(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    work(5)
    form = r"packing toys: 5 clips in \d+\.\d s, \d+\.\d a second"
    assert re.fullmatch(form, caplog.messages[-1])


def test_the_last_line_counts_what_this_job_did(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    work(5, start=3)
    assert caplog.messages[-1].startswith("packing toys: 2 clips in ")


def test_the_last_line_counts_what_was_done_if_there_was_less(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    list(track(range(3), total=5, label="packing toys", unit="clips"))
    assert caplog.messages[-1].startswith("packing toys: 3 clips in ")


def test_short_work_writes_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    work(5)
    assert len(caplog.messages) == 1


def test_nothing_to_do_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gram")
    work(0)
    assert caplog.messages[-1].startswith("packing toys: 0 clips in ")


def test_nothing_is_drawn_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    work(5)
    assert capfd.readouterr().err == ""


# --- in a terminal ----------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal that several processes write their errors to."""

    def __init__(self) -> None:
        """Open it, and read what is drawn as long as it is open."""
        self.reading, self.writing = pty.openpty()
        self.drawn = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        """Read until no process has the terminal open."""
        while True:
            try:
                self.drawn += os.read(self.reading, 65536)
            except OSError:  # the other side is closed
                return

    def start(self, log: Path, label: str, *, clips: int = 20) -> subprocess.Popen[bytes]:
        """Start slow work that draws on this terminal."""
        return subprocess.Popen(
            [sys.executable, "-c", SLOW, log, label, str(clips)],
            stderr=self.writing,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )

    def text(self) -> str:
        """Close the terminal and give all that was drawn."""
        os.close(self.writing)
        self.reader.join(timeout=30)
        os.close(self.reading)
        return self.drawn.decode()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give what one process draws on a terminal and writes to its log."""
    log, terminal = tmp_path_factory.mktemp("alone") / "a.log", Terminal()
    terminal.start(log, "packing toys").wait(timeout=60)
    return terminal.text(), log.read_text(encoding="utf-8")


def test_a_bar_tells_what_is_done(alone: tuple[str, str]) -> None:
    drawn, _ = alone
    assert "packing toys" in drawn
    assert re.search(r"1\d/20", drawn)


def test_a_bar_tells_the_unit(alone: tuple[str, str]) -> None:
    assert "clips" in alone[0]


def test_a_bar_tells_how_fast_it_goes(alone: tuple[str, str]) -> None:
    assert re.search(r"\d a second|\d/s", alone[0])


def test_a_bar_tells_how_long_it_will_take(alone: tuple[str, str]) -> None:
    assert re.search(r"\d:\d\d", alone[0])


def test_the_log_has_lines_beside_a_bar(alone: tuple[str, str]) -> None:
    assert re.search(r"packing toys: \d+ of 20 clips", alone[1])


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give what two processes draw on one terminal, and the log of the one that came second."""
    folder, terminal = tmp_path_factory.mktemp("together"), Terminal()
    first = terminal.start(folder / "first.log", "packing toys", clips=10_000)
    while b"packing toys" not in terminal.drawn and first.poll() is None:
        threading.Event().wait(0.02)
    second = terminal.start(folder / "second.log", "packing films")
    second.wait(timeout=60)
    first.terminate()
    first.wait(timeout=60)
    return terminal.text(), (folder / "second.log").read_text(encoding="utf-8")


def test_one_job_draws_on_a_terminal_at_a_time(together: tuple[str, str]) -> None:
    assert "packing films" not in together[0]


def test_a_job_that_draws_nothing_writes_its_log(together: tuple[str, str]) -> None:
    assert re.search(r"packing films: \d+ of 20 clips", together[1])


def test_a_terminal_without_a_name_ends_no_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", os.fdopen(os.dup(terminal.writing), "w"))

    def nameless(_: int) -> str:  # as in a container that does not know the host's terminals
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(os, "ttyname", nameless)
    try:
        assert work(3) == [0, 1, 2]
    finally:
        sys.stderr.close()
        terminal.text()
