"""All files of a data set, one after the other: what came, and what is left to do."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gram.config.sources import Role, SiteSource, Source
from gram.fetch.errors import FetchError
from gram.fetch.sources import ByHandError, fetch_source

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one source.

    Attributes:
        name: Its name.
        role: What it is to the data set.
        outcome: ``came``, ``there``, ``by hand``, ``failed`` or ``by the workflow``.
        detail: Where it is, or what is to be done.
    """

    name: str
    role: Role
    outcome: str
    detail: str

    @property
    def is_missing(self) -> bool:
        """Whether the file is not here."""
        return self.outcome in {"by hand", "failed"}


def choose_sources(
    sources: dict[str, Source], dataset: str, *, role: Role | None
) -> dict[str, Source]:
    """Choose the sources of a data set.

    Args:
        sources: The table of sources.
        dataset: Name of the data set.
        role: Role that they have; None: any.

    Raises:
        ValueError: If there is none.
    """
    of_dataset = {name: one for name, one in sources.items() if one.dataset == dataset}
    if not of_dataset:
        known = ", ".join(sorted({one.dataset for one in sources.values()}))
        raise ValueError(f"no source is of the data set {dataset!r}; found: {known}")
    chosen = {name: one for name, one in of_dataset.items() if role in {None, one.role}}
    if not chosen:
        known = ", ".join(sorted({one.role for one in of_dataset.values()}))
        raise ValueError(f"{dataset} has no source with the role {role!r}; found: {known}")
    return chosen


def fetch_all(sources: dict[str, Source], folder: Path) -> Iterator[Result]:
    """Fetch sources, each into a folder of its own; one that fails costs itself."""
    for name, source in sources.items():
        if isinstance(source, SiteSource):
            how = f"datasets.{source.dataset}.fetch.clips: {name}"
            yield Result(name=name, role=source.role, outcome="by the workflow", detail=how)
            continue
        outcome, detail = "came", str(folder / name)
        try:
            received = fetch_source(name, source, folder / name)
            outcome = "came" if received.fetched.is_new else "there"
        except ByHandError as error:
            outcome, detail = "by hand", str(error)
        except FetchError as error:
            outcome, detail = "failed", str(error)
        yield Result(name=name, role=source.role, outcome=outcome, detail=detail)
