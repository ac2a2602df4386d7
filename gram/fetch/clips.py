"""The clips of a chunk, one by one from the web: what came, and what became of the rest."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from gram.config.fetch import FetchConfig
from gram.data.media_files import MediaFolder, find_media
from gram.data.status import Status
from gram.data.tables import FETCH, read_rows, write_rows
from gram.fetch.errors import FetchError
from gram.fetch.ledger import Ledger, Outcome, now
from gram.fetch.plan import num_retries, retries_file
from gram.fetch.site import Place, fetch_clip
from gram.fetch.turns import Turns
from gram.files import write_text
from gram.progress import track

log = logging.getLogger(__name__)


def fetch_chunk(
    places: Sequence[Place | Outcome],
    media: Path,
    *,
    settings: FetchConfig,
    table: Path,
    label: str,
) -> None:
    """Fetch the clips of a chunk that are not there, and write what became of each.

    Clips whose state is final are not asked for again; those whose state is transient are.

    Args:
        places: Where each clip is; an outcome instead where that is not known.
        media: Folder of the media files.
        settings: How to fetch.
        table: Parquet file with the columns of ``gram.data.tables.FETCH``: one row a clip, in the
            order of ``places``. Beside it ``<name>.jsonl`` keeps what is known from one start to
            the next.
        label: What is fetched, for the reader.

    Raises:
        ValueError: If the file of cookies is not there, or there is no ffmpeg.
        DiskFullError: If the disk is full.
    """
    if settings.cookies is not None and not Path(settings.cookies).is_file():
        raise ValueError(
            f"the file of cookies {settings.cookies} is not there; export it from a browser in "
            "Netscape form, or set fetch.cookies to null"
        )
    media.mkdir(parents=True, exist_ok=True)
    book = Ledger(table.with_suffix(".jsonl"))
    site = _Site(media, settings=settings, book=book, turns=table.parents[1] / ".turns")
    outcomes = {}
    asked = []
    there, known = find_media(media), book.read()
    for one in places:
        outcome = (
            one if isinstance(one, Outcome) else _already(one, there, known.get(one.source_id))
        )
        if outcome is not None:
            outcomes[outcome.place.source_id] = outcome
        elif isinstance(one, Place):
            asked.append((one, known.get(one.source_id)))
    log.info("%s: %d clips, %d to ask for", label, len(places), len(asked))
    for outcome in track(site.fetch_all(asked), total=len(asked), label=label, unit="clips"):
        outcomes[outcome.place.source_id] = outcome
    rows = [outcomes[_id_of(one)].row() for one in places]
    write_rows(table, rows, schema=FETCH)
    counts = Counter(str(row["status"]) for row in rows)
    log.info("%s: %s", label, ", ".join(f"{n} {status}" for status, n in counts.items()))


def ask_again(tables: Sequence[Path]) -> Counter[str]:
    """Count one retry more for each table that holds transient states, so that its job runs again.

    The number of retries stands beside the table and in the params of its rule. The table itself
    stays: Snakemake would not miss it as long as what was made of it is there.

    Args:
        tables: Tables of ``fetch_chunk``; one that is not there is left out.

    Returns:
        Number of clips that will be asked for again, by state.
    """
    counts: Counter[str] = Counter()
    for table in tables:
        states = [row["status"] for row in read_rows(table)] if table.exists() else []
        if found := [state for state in states if Status(state).is_transient]:
            counts.update(found)
            write_text(retries_file(table), f"{num_retries(table) + 1}\n")
    log.info(
        "to be asked for again at the next start: %s",
        ", ".join(f"{n} {state}" for state, n in counts.items()) or "none",
    )
    return counts


def _id_of(one: Place | Outcome) -> str:
    return one.source_id if isinstance(one, Place) else one.place.source_id


def _already(place: Place, there: MediaFolder, known: Outcome | None) -> Outcome | None:
    """Give the outcome of a clip that need not be asked for; None if it must be."""
    if known is not None and known.place != place:
        known = None  # it was asked for elsewhere
    if paths := there.named(place.source_id):
        path = paths[0]
        outcome = known if known is not None and known.status is Status.OK else None
        found = outcome or Outcome(place=place, status=Status.OK, checked_at=now())
        return replace(found, media=path.name, bytes=path.stat().st_size)
    if known is None or known.status is Status.OK or known.status.is_transient:
        return None
    return known


class _Site:
    """A video site, asked by several threads, politely: pauses, and no more after refusals.

    What becomes of a clip is written into the book at once, also while earlier ones are on their
    way.
    """

    def __init__(self, media: Path, *, settings: FetchConfig, book: Ledger, turns: Path) -> None:
        self._media = media
        self._settings = settings
        self._book = book
        self._turns = Turns(
            turns,
            at_once=settings.at_once,
            pause_seconds=settings.pause_seconds,
            sleep=self._sleep,
        )
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._refusals = 0

    def fetch_all(self, asked: Sequence[tuple[Place, Outcome | None]]) -> Iterator[Outcome]:
        """Fetch clips; give their outcomes in order. An error that is no clip's ends it."""
        with ThreadPoolExecutor(max_workers=self._settings.at_once) as threads:
            try:
                yield from threads.map(self._fetch, asked)
            finally:
                self._stop.set()  # what is on its way is not waited for
                threads.shutdown(wait=False, cancel_futures=True)

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise FetchError("the job ends", status=Status.NETWORK)

    def _fetch(self, asked: tuple[Place, Outcome | None]) -> Outcome:
        place, known = asked
        with self._turns.turn():
            outcome = self._fetch_now(place, known)
        if not self._stop.is_set():
            with self._lock:
                self._book.add(outcome)
        return outcome

    def _fetch_now(self, place: Place, known: Outcome | None) -> Outcome:
        tries = known.tries if known is not None and known.place == place else 0
        if self._refusals >= self._settings.refusals:
            reason = (
                f"not asked for: the site refused {self._refusals} clips before it (fetch.refusals)"
            )
            return Outcome(
                place=place,
                status=Status.THROTTLED,
                reason=reason,
                tries=tries,
                checked_at=now(),
            )
        outcome = self._ask(place)
        with self._lock:
            is_refused = outcome.status is Status.THROTTLED
            self._refusals = self._refusals + 1 if is_refused else 0
        return replace(outcome, tries=tries + 1, checked_at=now())

    def _ask(self, place: Place) -> Outcome:
        try:
            path = fetch_clip(place, self._media, self._settings, stop=self._stop)
        except FetchError as error:
            log.info("%s: %s (%s)", place.source_id, error.status, error)
            return Outcome(place=place, status=error.status, reason=str(error))
        size = path.stat().st_size
        return Outcome(place=place, status=Status.OK, media=path.name, bytes=size)
