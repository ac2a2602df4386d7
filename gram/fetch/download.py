"""One file over HTTP: resumed, retried, checked, and under its name only when it is whole.

While a file comes it stands beside its place as ``.<name>.part``, and ``.<name>.part.json`` says
what the part belongs to. A killed job leaves both, and the next one goes on from there.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import requests
from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, ValidationError

from gram.data.status import Status
from gram.fetch.content import check_content, is_served_as_page
from gram.fetch.errors import FetchError, WrongRangeError
from gram.fetch.http import LEAST_BYTES, Answer, open_url
from gram.fetch.patience import Patience
from gram.files import full_disk_explained, sha256_of, write_text
from gram.progress import track

log = logging.getLogger(__name__)

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is known of a file beforehand.

    Attributes:
        bytes: Its size; None: not known.
        sha256: Its checksum, 64 hexadecimal digits in lower case; None: not known.
    """

    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that is there, whole.

    Attributes:
        path: Where it is.
        bytes: Its size.
        sha256: Its checksum.
        is_new: Whether it came just now; False: it was there.
    """

    path: Path
    bytes: int
    sha256: str
    is_new: bool


def download(
    url: str, target: Path, *, expected: Expected | None = None, patience: Patience | None = None
) -> Fetched:
    """Bring a file here; one that is there already is only checked.

    Args:
        url: Address, http or https.
        target: Where the file shall be. Nothing has this name before it is whole and checked.
        expected: What is known of it.
        patience: How often to try, how long to wait, how fast to read.

    Raises:
        FetchError: If it cannot be had, or is not what was expected.
        DiskFullError: If the disk is full.
    """
    expected, patience = expected or Expected(), patience or Patience()
    with full_disk_explained(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_one(target):
            if target.exists():
                return check_present(target, expected)
            return _Download(url, target, expected=expected, patience=patience).run()


@contextmanager
def only_one(target: Path) -> Iterator[None]:
    """Keep other jobs from fetching the same file; they wait, and find it there."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another job fetches %s; waiting for it", target)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_present(target: Path, expected: Expected) -> Fetched:
    """Check a file that is there.

    Raises:
        FetchError: If it is not the one that is expected. It is left as it is.
    """
    remedy = "move it away to have it fetched anew, or correct the table of sources"
    if (wrong := _mismatch(target, expected)) is not None:
        raise FetchError(f"{target} is there, but {wrong}; {remedy}", status=Status.UNREADABLE)
    if (wrong := check_content(target, name=target.name)) is not None:
        raise FetchError(f"{target} is there, but {wrong}; {remedy}", status=Status.UNREADABLE)
    size = target.stat().st_size
    return Fetched(path=target, bytes=size, sha256=sha256_of(target), is_new=False)


def accept(came: Path, target: Path, *, expected: Expected, origin: str) -> Fetched:
    """Give a file that came under another name its own, if it is what was expected.

    Raises:
        FetchError: If it is not; then it is removed.
    """
    named = came.with_name(f".arrived-{target.name}")
    came.replace(named)
    try:
        fetched = check_present(named, expected)
    except FetchError as error:
        named.unlink()
        said = str(error).removeprefix(f"{named} is there, but ")
        raise FetchError(
            f"{origin} is not what was expected: {said}", status=error.status
        ) from error
    with named.open("rb") as file:
        os.fsync(file.fileno())
    named.replace(target)
    return Fetched(path=target, bytes=fetched.bytes, sha256=fetched.sha256, is_new=True)


def _mismatch(path: Path, expected: Expected) -> str | None:
    """Say in what a file differs from what is expected; None if in nothing that is known."""
    size = path.stat().st_size
    if expected.bytes is not None and size != expected.bytes:
        return f"it has {size:,} bytes, and not {expected.bytes:,}"
    if expected.sha256 is not None and (found := sha256_of(path)) != expected.sha256:
        return f"its SHA-256 is {found}, and not {expected.sha256}"
    return None


class _State(BaseModel):
    """What a part belongs to.

    Attributes:
        url: Where it comes from.
        validator: What the server calls this state of the file; None: nothing.
        total_bytes: Size of the whole file; None: not known.
    """

    url: str
    validator: str | None = Field(default=None, pattern=r"^[\x20-\x7e]*$")
    total_bytes: int | None = Field(default=None, ge=0)


class _Download:
    """One file on its way: the part that is there, and what it belongs to."""

    def __init__(self, url: str, target: Path, *, expected: Expected, patience: Patience) -> None:
        self._url = url
        self._target = target
        self._expected = expected
        self._patience = patience
        self._part = target.with_name(f".{target.name}.part")
        self._state = target.with_name(f".{target.name}.part.json")
        self._is_resumed = False
        self._was_sent_elsewhere = False

    def run(self) -> Fetched:
        """Try until the file is whole, or nothing new has come for too long."""
        most, failures = self._size(), 0
        with requests.Session() as session:
            while True:
                try:
                    self._fetch_rest(session)
                    return self._finish()
                except FetchError as error:
                    failures = 1 if self._size() >= most + LEAST_BYTES else failures + 1
                    most = max(most, self._size())
                    self._wait_or_give_up(error, failures)

    def _wait_or_give_up(self, error: FetchError, failures: int) -> None:
        asked = error.retry_after_seconds
        if not error.status.is_transient:
            raise error
        if failures >= self._patience.tries:
            raise FetchError(
                f"{error}; given up after {failures} tries without progress. What came so far is "
                "kept: the next start goes on from there",
                status=error.status,
            ) from error
        if asked is not None and asked > self._patience.longest_wait_seconds:
            raise FetchError(
                f"{error}; it asks to wait {asked:.0f} s: start again after that",
                status=error.status,
                retry_after_seconds=asked,
            ) from error
        wait = self._patience.wait_seconds(failures, asked=asked)
        log.warning("%s; trying again in %.1f s", error, wait)
        self._patience.sleep(wait)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _fetch_rest(self, session: requests.Session) -> None:
        """Ask for what is missing, and append it; start over where the server demands it."""
        offset, state = self._resumable()
        try:
            answer = open_url(
                session,
                self._url,
                offset=offset,
                validator=state.validator if state is not None else None,
                stall_seconds=self._patience.stall_seconds,
            )
        except WrongRangeError as error:
            self._start_over_once(error)
        with answer.response:
            if answer.response.status_code == 416:
                self._check_no_more(answer, offset)
                return
            if state is not None and answer.start and self._is_another(answer, state):
                self._discard()
                raise FetchError(
                    f"{self._url} has changed while it was fetched, or does not say that it is "
                    "the same; starting over",
                    status=Status.NETWORK,
                )
            self._check_no_page(answer)
            if not answer.start:
                self._begin(answer)
            self._is_resumed = self._is_resumed or answer.start > 0
            self._append(answer)

    def _start_over_once(self, error: WrongRangeError) -> NoReturn:
        """Give up the part that cannot be gone on with; the second time the download."""
        self._discard()
        if self._was_sent_elsewhere:
            raise FetchError(
                f"{error}, also after starting over; look for another address, or fetch it in a "
                f"browser and put it at {self._target}",
                status=error.status,
            ) from error
        self._was_sent_elsewhere = True
        raise FetchError(f"{error}; starting over", status=Status.NETWORK) from error

    def _resumable(self) -> tuple[int, _State | None]:
        """Give the size of a part that can be gone on with, and what it belongs to."""
        state = self._read_state()
        has_checksum = self._expected.sha256 is not None
        if state is None or state.url != self._url or not (has_checksum or state.validator):
            self._discard()
            return 0, None
        return self._size(), state

    def _read_state(self) -> _State | None:
        try:
            return _State.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.warning(
                "%s does not say what the part beside it belongs to (%s); starting over",
                self._state,
                error.errors()[0]["msg"],
            )
            return None

    def _is_another(self, answer: Answer, state: _State) -> bool:
        """Tell whether a server that continues does so with another file than the part's.

        One that does not say with which file counts as another, unless a checksum will tell.
        """
        known, total = state.validator, state.total_bytes
        same = {known} if self._expected.sha256 is None else {known, None}
        return (known is not None and answer.validator not in same) or (
            total is not None and answer.total_bytes not in {None, total}
        )

    def _check_no_more(self, answer: Answer, offset: int) -> None:
        """Accept that there is nothing beyond the part, if the part is whole."""
        if answer.total_bytes != offset and self._expected.bytes != offset:
            self._discard()
            raise FetchError(
                f"{self._url} is shorter than what came of it before; starting over",
                status=Status.NETWORK,
            )

    def _check_no_page(self, answer: Answer) -> None:
        """Refuse what the server calls a page, unless a checksum will tell."""
        media_type = answer.response.headers.get("content-type", "")
        is_page = is_served_as_page(media_type, name=self._target.name)
        if is_page and self._expected.sha256 is None:
            self._discard()
            raise FetchError(
                f"{self._url} is not what was expected: the server sends it as {media_type!r}, and "
                f"it is {answer.described()}; open it in a browser and correct the address, or "
                "write its sha256 into the table of sources if it is right",
                status=Status.UNREADABLE,
            )

    def _begin(self, answer: Answer) -> None:
        """Empty the part, then write down what it will belong to."""
        self._part.write_bytes(b"")
        state = _State(url=self._url, validator=answer.validator, total_bytes=answer.total_bytes)
        write_text(self._state, state.model_dump_json())

    def _append(self, answer: Answer) -> None:
        total = answer.total_bytes
        if total is not None and self._expected.bytes not in {None, total}:
            self._discard()
            raise FetchError(
                f"{self._url} has {total:,} bytes, and not {self._expected.bytes:,}: it is "
                f"{answer.described()}, not the one of the table of sources",
                status=Status.UNREADABLE,
            )
        whole = total or self._expected.bytes or 0
        mebibytes = self._written(answer)
        for _ in track(
            mebibytes,
            total=max(-(-whole // MIB), 1),
            label=f"fetching {self._target.name}",
            unit="MiB",
            start=answer.start // MIB,
        ):
            pass
        if total is not None and self._size() < total:
            raise FetchError(
                f"{self._url} ended after {self._size():,} of {total:,} bytes",
                status=Status.NETWORK,
            )
        if self._expected == Expected() and not answer.tells_its_end:
            log.warning(
                "%s does not say how long it is, and neither size nor SHA-256 is known: %s bytes "
                "came, and would be taken had the connection closed early too. Compare them with "
                "the owners' page, and write bytes or sha256 into the table of sources",
                self._url,
                f"{self._size():,}",
            )

    def _written(self, answer: Answer) -> Iterator[None]:
        """Append each piece as it comes; yield once a mebibyte."""
        began, received, shown = self._patience.clock(), 0, 0
        with self._part.open("ab") as file:
            for piece in answer.pieces():
                file.write(piece)
                file.flush()
                received += len(piece)
                if self._expected.bytes is not None and file.tell() > self._expected.bytes:
                    self._discard()
                    raise FetchError(
                        f"{self._url} has more than {self._expected.bytes:,} bytes: it is another "
                        "file than the table of sources says",
                        status=Status.UNREADABLE,
                    )
                self._patience.pace(received, began=began)
                while received // MIB > shown:
                    shown += 1
                    yield
            if received % MIB:
                yield

    def _finish(self) -> Fetched:
        """Check the part and give it its name."""
        wrong = _mismatch(self._part, self._expected)
        wrong = wrong or check_content(self._part, name=self._target.name)
        if wrong is not None:
            was_resumed, self._is_resumed = self._is_resumed, False
            self._discard()
            # A part may have been of another state of the file; the whole file tells.
            status = Status.NETWORK if was_resumed else Status.UNREADABLE
            raise FetchError(f"{self._url} is not what was expected: {wrong}", status=status)
        checksum = sha256_of(self._part)
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self._target)
        self._state.unlink(missing_ok=True)
        size = self._target.stat().st_size
        if self._expected.sha256 is None:
            log.info("%s has the SHA-256 %s; none was known before", self._target, checksum)
        return Fetched(path=self._target, bytes=size, sha256=checksum, is_new=True)

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
