"""One request over HTTP: redirects that are allowed, and what each answer means."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from gram.data.status import Status
from gram.fetch.content import is_page, page_title
from gram.fetch.errors import FetchError, WrongRangeError
from gram.fetch.packed import check_encoding, unpacked
from gram.fetch.patience import read_retry_after
from gram.versions import versions

MAX_REDIRECTS = 8
CONNECT_SECONDS = 20.0
PIECE_BYTES = 2**16

LEAST_BYTES = 2**10
"""Bytes that must come within the time that a connection may stall; fewer are no progress."""

_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")

_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A server's answer whose body is still to be read.

    Attributes:
        start: Offset of the body's first byte in the file.
        total_bytes: Size of the whole file; None: not said.
        validator: Strong ETag, or the time of the last change; None: the server gives neither.
        first: The first bytes of the body as it was sent; empty: it is empty.
        stall_seconds: Time of waiting within which ``LEAST_BYTES`` must come.
        response: The open response.
    """

    start: int
    total_bytes: int | None
    validator: str | None
    first: bytes
    stall_seconds: float
    response: requests.Response

    @property
    def encoding(self) -> str:
        """How the server packs the body although it was asked not to; empty: it does not."""
        said = self.response.headers.get("content-encoding", "").strip().lower()
        return "" if said == "identity" else said

    @property
    def tells_its_end(self) -> bool:
        """Whether a connection that closes early can be told from the end of the body."""
        is_chunked = "chunked" in self.response.headers.get("transfer-encoding", "").lower()
        return self.total_bytes is not None or bool(self.encoding) or is_chunked

    def pieces(self) -> Iterator[bytes]:
        """Give the body as it comes, unpacked.

        Raises:
            FetchError: If the connection breaks or stalls, or the body is not whole; status
                ``network`` or ``timeout``.
        """
        sent = self._pieces_as_sent()
        return unpacked(sent, self.encoding, url=self.response.url) if self.encoding else sent

    def _pieces_as_sent(self) -> Iterator[bytes]:
        if self.first:
            yield self.first
        waited, received = 0.0, 0
        while True:
            asked_at = time.monotonic()
            piece = _next_piece(self.response)
            # What the reader takes for itself is not the server's: only waits count.
            waited, received = waited + time.monotonic() - asked_at, received + len(piece)
            if not piece:
                return
            yield piece
            if received >= LEAST_BYTES:
                waited, received = 0.0, 0
            elif waited > self.stall_seconds:
                raise FetchError(
                    f"{self.response.url} sends too slowly: {received} bytes in {waited:.1f} s",
                    status=Status.NETWORK,
                )

    def described(self) -> str:
        """Say what the body is: a page of HTML, with its title, or another file."""
        head = b""
        with suppress(FetchError):
            for piece in self.pieces():
                head += piece
                if len(head) >= PIECE_BYTES:
                    break
        return f"a page of HTML{page_title(head)}" if is_page(head) else "another file"


def open_url(
    session: requests.Session,
    url: str,
    *,
    offset: int = 0,
    validator: str | None = None,
    stall_seconds: float,
) -> Answer:
    """Ask for a file from an offset on, and follow redirects.

    Args:
        session: Keeps connections and cookies.
        url: Address, http or https.
        offset: First byte that is wanted.
        validator: What the bytes before the offset belong to: if the file is another one by now,
            the server answers with the whole of it.
        stall_seconds: Time without a byte after which the connection counts as dead.

    Raises:
        WrongRangeError: If the answer begins elsewhere than at the offset.
        FetchError: If the address cannot be used or the answer is no file.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": user_agent()}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator is not None:
            headers["If-Range"] = validator
    current = url
    for _ in range(MAX_REDIRECTS + 1):
        check_address(current, came_from=url)
        response = _get(session, current, headers, came_from=url, stall_seconds=stall_seconds)
        if not response.is_redirect:
            return _read_answer(response, offset=offset, stall_seconds=stall_seconds)
        response.close()
        current = urljoin(current, response.headers["location"])
    raise FetchError(
        f"{url} sends on more than {MAX_REDIRECTS} times, at last to {current}; open it in a "
        "browser and correct the address",
        status=Status.DEAD,
    )


def _get(
    session: requests.Session,
    url: str,
    headers: Mapping[str, str],
    *,
    came_from: str,
    stall_seconds: float,
) -> requests.Response:
    """Send one request and read the headers of its answer."""
    try:
        return session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(min(CONNECT_SECONDS, stall_seconds), stall_seconds),
        )
    except requests.exceptions.InvalidHeader as error:
        # urllib3 does not read an answer that says two lengths: nobody can tell the right one.
        raise FetchError(
            f"{url} sends headers that contradict one another ({error}), so that nobody can tell "
            "when the file is whole; tell the server's owner, or look for another address",
            status=Status.UNREADABLE,
        ) from error
    except ValueError as error:  # requests reads where it is sent on to at once
        raise FetchError(
            f"{came_from} leads to an address that cannot be read ({url!r} is one, or sends on to "
            f"one: {error}); open it in a browser and correct the address",
            status=Status.DEAD,
        ) from error
    except _BROKEN as error:
        raise _connection_error(error, url) from error


def user_agent() -> str:
    """Name this program and its version, as servers wish."""
    return f"gram/{versions('gram')['gram']}"


def check_address(url: str, *, came_from: str) -> None:
    """Check that an address is http or https, and does not leave https.

    Raises:
        FetchError: If it is not so.
    """
    scheme, first = _scheme(url), _scheme(came_from)
    sent = "" if url == came_from else f"{came_from} sends on to "
    if scheme not in {"http", "https"}:
        raise FetchError(
            f"{sent}{url!r}, which is no address of http or https; correct the address",
            status=Status.DEAD,
        )
    if first == "https" and scheme == "http":
        raise FetchError(
            f"{sent}{url}, without encryption, where anybody could change the file; look for "
            "another address",
            status=Status.DEAD,
        )


def _scheme(url: str) -> str | None:
    """Give the scheme of an address; None if it is none, or names no host."""
    try:
        parts = urlsplit(url)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts.scheme.lower() if is_address else None


def _read_answer(response: requests.Response, *, offset: int, stall_seconds: float) -> Answer:
    """Tell what an answer is; one that is no file is an error."""
    if response.status_code not in ({200, 206, 416} if offset else {200, 206}):
        raise _status_error(response)
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    total = int(found[2]) if found and found[2] != "*" else None
    if response.status_code == 416:
        # Nothing lies beyond the offset: the part is whole, or belongs to another file.
        return Answer(
            start=offset,
            total_bytes=total,
            validator=None,
            first=b"",
            stall_seconds=stall_seconds,
            response=response,
        )
    first, start = _first_piece(response), 0
    if response.status_code == 206:
        if found is None or found[1] is None or int(found[1]) != offset:
            said = response.headers.get("content-range")
            response.close()
            raise WrongRangeError(
                f"{response.url} was asked for bytes from {offset} on and sends {said!r}",
                status=Status.UNREADABLE,
            )
        start = offset
    if total is None and (length := _length(response)) is not None:
        total = start + length
    answer = Answer(
        start=start,
        total_bytes=total,
        validator=_validator(response),
        first=first,
        stall_seconds=stall_seconds,
        response=response,
    )
    if answer.encoding:  # its sizes and offsets are those of the packed bytes
        check_encoding(answer.encoding, url=response.url)
        return replace(answer, total_bytes=None, validator=None)
    return answer


def _length(response: requests.Response) -> int | None:
    """Give the length of a body; one that is said twice alike counts once."""
    said = {one.strip() for one in response.headers.get("content-length", "").split(",")}
    length = said.pop()
    return int(length) if not said and length.isdigit() else None


def _first_piece(response: requests.Response) -> bytes:
    """Read the first bytes of a body; an empty one must be said to be empty.

    A connection that is cut inside the headers reads like headers that are whole, without a body.
    """
    first = _next_piece(response)
    is_chunked = "chunked" in response.headers.get("transfer-encoding", "").lower()
    if not first and not is_chunked and _length(response) != 0:
        response.close()
        raise FetchError(
            f"{response.url} breaks the connection before the first byte of the file",
            status=Status.NETWORK,
        )
    return first


def _next_piece(response: requests.Response) -> bytes:
    """Read what has come of a body, as it is sent; nothing at its end."""
    try:
        piece: bytes = response.raw.read1(PIECE_BYTES, decode_content=False)
    except _BROKEN as error:
        response.close()
        raise _connection_error(error, response.url) from error
    return piece


def _validator(response: requests.Response) -> str | None:
    """Give what identifies this state of the file, and can be sent back.

    A weak ETag may stand for other bytes; one outside printable ASCII does not come back as it was.
    """
    tag = response.headers.get("etag")
    said = response.headers.get("last-modified") if tag is None else tag
    if said is None or said.startswith("W/"):
        return None
    return said if said.isascii() and said.isprintable() else None


def _status_error(response: requests.Response) -> FetchError:
    code, url = response.status_code, response.url
    said = f"{url} answers {code} {response.reason or ''}".rstrip()
    match code:
        case 404 | 410:
            status, advice = Status.DEAD, "it is not there; look for another address"
        case 401 | 403 | 407:
            status, advice = Status.PRIVATE, "it is not for everybody; ask for access"
        case 451:
            status, advice = Status.REGION, "it may not be shown in this country"
        case 408 | 425:
            status, advice = Status.NETWORK, "try again later"
        case 429:
            status, advice = Status.THROTTLED, "it wants fewer requests; try again later"
        case _ if code >= 500:
            status, advice = Status.NETWORK, "the server has a problem; try again later"
        case _:
            status, advice = Status.DEAD, f"that is no file{_title_of(response)}"
    asked = read_retry_after(response.headers.get("retry-after"))
    response.close()
    return FetchError(f"{said}: {advice}", status=status, retry_after_seconds=asked)


def _title_of(response: requests.Response) -> str:
    try:
        return page_title(response.raw.read(2**16) or b"")
    except _BROKEN:
        return ""


def _connection_error(error: Exception, url: str) -> FetchError:
    is_timeout = isinstance(
        error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError
    )
    if isinstance(error, requests.exceptions.SSLError):
        said = "does not prove who it is"
    elif is_timeout:
        said = "sends nothing"
    else:
        said = "breaks the connection"
    return FetchError(
        f"{url} {said} ({type(error).__name__}: {error})",
        status=Status.TIMEOUT if is_timeout else Status.NETWORK,
    )
