"""What can go wrong while fetching, with the state that it leaves a clip in."""

from gram.data.status import Status


class FetchError(ValueError):
    """Something could not be fetched; the message says what was found and what to do.

    Attributes:
        status: What that makes of a clip, and whether another try may end otherwise.
        retry_after_seconds: Least wait that the server asked for; None: it did not.
    """

    def __init__(
        self, message: str, *, status: Status, retry_after_seconds: float | None = None
    ) -> None:
        """Keep message, state and the wait that was asked for."""
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class WrongRangeError(FetchError):
    """A server sent other bytes than those that it was asked for."""
