"""What MLflow did not take of a job, in a file beside the job's output, to be sent later."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from gram.files import write_text

log = logging.getLogger(__name__)

Item = tuple[str | float, ...]
"""What is told of a job: its kind, then what there is to say.

``("number", name, value, time in ms, step)``, ``("setting", name, value)``,
``("fact", name, value)``, ``("file", path, folder of the run)``,
``("model", folder of the run, SHA-256 of its checkpoint)``.
"""


class Unsent:
    """Items that MLflow did not take, one JSON line each."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is there only while it holds something."""
        self.path = path

    def add(self, items: Iterable[Item]) -> None:
        """Write items at the end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(one)}\n" for one in items)

    def read(self) -> list[Item]:
        """Give the items; a line that a killed job left half written is left out."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [tuple(json.loads(line)) for line in lines]

    def warn(self) -> None:
        """Say in the log how much is kept, and where."""
        log.warning(
            "%d numbers and files of this job were not tracked; they are kept in %s, and the next "
            "try of the job sends them",
            len(self.read()),
            self.path,
        )

    def replace(self, items: Sequence[Item]) -> None:
        """Hold these items and no others; without any, the file goes."""
        if items:
            write_text(self.path, "".join(f"{json.dumps(one)}\n" for one in items))
        else:
            self.path.unlink(missing_ok=True)
