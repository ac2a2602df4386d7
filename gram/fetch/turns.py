"""Taking turns at a site: so many at once, and a pause between two starts, over all jobs.

Jobs of one machine know of each other by files in a folder: a lock for each place at the site, and
the time of the next start.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_SECONDS = 0.1


class Turns:
    """The places at a site."""

    def __init__(
        self,
        folder: Path,
        *,
        at_once: int,
        pause_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the folder.

        Args:
            folder: Shared by all that ask the same site.
            at_once: Number of places.
            pause_seconds: Least time between two starts.
            sleep: Waits, in seconds.
            clock: Tells the time, in seconds, to all jobs alike.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._at_once = at_once
        self._pause_seconds = pause_seconds
        self._sleep = sleep
        self._clock = clock

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place and for the pause to be over; the place is free after the block."""
        place = self._take_place()
        try:
            self._sleep(max(0.0, self._reserve_start() - self._clock()))
            yield
        finally:
            place.release()

    def _take_place(self) -> FileLock:
        while True:
            for number in range(self._at_once):
                place = FileLock(self._folder / f"place{number}.lock")
                try:
                    place.acquire(timeout=0)
                except Timeout:
                    continue
                return place
            self._sleep(POLL_SECONDS)

    def _reserve_start(self) -> float:
        """Give the time of this start, and put the next one off."""
        written = self._folder / "next_start"
        with FileLock(self._folder / "next_start.lock"):
            now = self._clock()
            try:
                asked = float(written.read_text(encoding="utf-8"))
            except (FileNotFoundError, ValueError):
                asked = now
            # No more than one start a place can be waiting; beyond that a clock was set back.
            start = min(max(asked, now), now + self._at_once * self._pause_seconds)
            written.write_text(repr(start + self._pause_seconds), encoding="utf-8")
        return start
