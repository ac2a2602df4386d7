"""What is known of the clips of a chunk, kept line by line: a killed job loses none of it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from gram.data.status import Status
from gram.fetch.site import Place


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one clip's file.

    Attributes:
        place: Where it was asked for.
        status: What became of it.
        reason: Why, in words; None where the status is ok.
        tries: Starts of a job that asked for it.
        media: Name of its file in the media folder; None where there is none.
        bytes: Size of that file.
        checked_at: When this was found out, UTC.
    """

    place: Place
    status: Status
    reason: str | None = None
    tries: int = 0
    media: str | None = None
    bytes: int | None = None
    checked_at: str = ""

    def row(self) -> dict[str, object]:
        """Give the columns of ``gram.data.tables.FETCH``."""
        columns = {name: value for name, value in vars(self).items() if name != "place"}
        return asdict(self.place) | columns


def now() -> str:
    """Give the time as text, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ledger:
    """A file of outcomes, one JSON a line; the last line of a clip counts."""

    def __init__(self, path: Path) -> None:
        """Open it; the file is made with the first outcome."""
        self._path = path

    def read(self) -> Mapping[str, Outcome]:
        """Read what is known, by source id. A last line that a kill cut off is left out."""
        if not self._path.exists():
            return {}
        known = {}
        for line in self._path.read_bytes().split(b"\n"):
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            place = Place(**fields.pop("place"))
            status = Status(fields.pop("status"))
            known[place.source_id] = Outcome(place=place, status=status, **fields)
        return known

    def add(self, outcome: Outcome) -> None:
        """Write an outcome to the disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(outcome)).encode()
        with self._path.open("ab") as file:
            file.write(b"\n" + line + b"\n")  # a cut line before it stays a line of its own
            file.flush()
            os.fsync(file.fileno())
