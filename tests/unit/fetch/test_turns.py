import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gram.fetch.turns import Turns


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        """Begin at no special time."""
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds

    def time(self) -> float:
        """Tell the time."""
        return self.now


def turns(folder: Path, clock: Clock, *, pause: float, at_once: int = 1) -> Turns:
    return Turns(folder, at_once=at_once, pause_seconds=pause, sleep=clock.sleep, clock=clock.time)


def test_starts_are_a_pause_apart_also_for_another_job(tmp_path: Path) -> None:
    clock = Clock()
    starts = []
    for _ in range(2):
        job = turns(tmp_path, clock, pause=5.0)
        for _ in range(2):
            with job.turn():
                starts.append(clock.now)
    assert starts == [1000.0, 1005.0, 1010.0, 1015.0]


def test_time_that_passed_meanwhile_is_not_waited_for_again(tmp_path: Path) -> None:
    clock = Clock()
    job = turns(tmp_path, clock, pause=5.0)
    with job.turn():
        clock.sleep(60.0)
    with job.turn():
        assert clock.now == 1060.0


@pytest.mark.parametrize("written", ["", "nonsense", "99999999"])
def test_a_file_that_tells_no_sensible_time_holds_nobody_up(written: str, tmp_path: Path) -> None:
    (tmp_path / "next_start").write_text(written)
    clock = Clock()
    with turns(tmp_path, clock, pause=5.0, at_once=2).turn():
        assert clock.now <= 1010.0


def test_no_more_are_at_the_site_than_it_has_places(tmp_path: Path) -> None:
    present, most = 0, 0
    lock = threading.Lock()
    meet = threading.Barrier(2)

    def visit(_: int) -> None:
        nonlocal present, most
        with Turns(tmp_path, at_once=2, pause_seconds=0.0).turn():
            with lock:
                present += 1
                most = max(most, present)
            meet.wait(timeout=20)  # passes only if two are there at the same time
            with lock:
                present -= 1

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(visit, range(6)))
    assert most == 2


HOLDER = """
import sys, time
from pathlib import Path
from gram.fetch.turns import Turns
with Turns(Path(sys.argv[1]), at_once=1, pause_seconds=0).turn():
    print("here", flush=True)
    time.sleep(60)
"""


def test_the_place_of_a_killed_job_is_free(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "here\n"
    holder.kill()
    holder.communicate()
    with Turns(tmp_path, at_once=1, pause_seconds=0).turn():
        pass
