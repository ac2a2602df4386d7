"""How long to wait before another try, and how fast to read: politeness towards servers."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits of one download.

    Attributes:
        tries: Tries that bring nothing new before the download is given up.
        first_wait_seconds: Wait after the first of them; each further one doubles it.
        longest_wait_seconds: Longest wait. A server that asks for more is not waited for.
        stall_seconds: Time without a byte, or with hardly any, after which a connection counts as
            dead.
        bytes_per_second: Limit of the rate; None: as fast as it comes.
        sleep: Waits, in seconds.
        clock: Tells the time, in seconds from any beginning.
    """

    tries: int = 6
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 300.0
    stall_seconds: float = 60.0
    bytes_per_second: int | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def wait_seconds(self, failures: int, *, asked: float | None) -> float:
        """Give the wait before the next try: exponential with jitter, or longer if asked for.

        Args:
            failures: Tries in a row that brought nothing new, from 1 on.
            asked: What the server asked for, in seconds.
        """
        full: float = min(self.longest_wait_seconds, self.first_wait_seconds * 2 ** (failures - 1))
        wait = full * random.uniform(0.5, 1.0)  # noqa: S311 - no secret: spreads the retries
        return max(wait, asked or 0.0)

    def pace(self, num_bytes: int, *, began: float) -> None:
        """Sleep until so many bytes since ``began`` are no more than the rate allows."""
        if self.bytes_per_second is not None:
            ahead = num_bytes / self.bytes_per_second - (self.clock() - began)
            if ahead > 0:
                self.sleep(ahead)


def read_retry_after(value: str | None) -> float | None:
    """Read the header Retry-After: seconds, or a date; None where it is neither.

    Example:
        >>> read_retry_after("120"), read_retry_after("soon")
        (120.0, None)
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
