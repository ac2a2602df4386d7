"""Bodies that a server packs although it was asked not to: unpacked, and whole or refused."""

import zlib
from collections.abc import Iterable, Iterator

from gram.data.status import Status
from gram.fetch.errors import FetchError

_GZIP = zlib.MAX_WBITS | 16
_DEFLATE = zlib.MAX_WBITS
_BARE_DEFLATE = -zlib.MAX_WBITS

ENCODINGS = ("gzip", "x-gzip", "deflate")


def check_encoding(encoding: str, *, url: str) -> None:
    """Check that a body can be unpacked.

    Args:
        encoding: The header Content-Encoding, in lower case.
        url: Where the body comes from.

    Raises:
        FetchError: If it cannot.
    """
    if encoding not in ENCODINGS:
        raise FetchError(
            f"{url} packs the file by {encoding!r} although asked not to, and only "
            f"{', '.join(ENCODINGS)} can be unpacked; look for another address",
            status=Status.DEAD,
        )


def unpacked(pieces: Iterable[bytes], encoding: str, *, url: str) -> Iterator[bytes]:
    """Unpack a body as it comes.

    Args:
        pieces: The body as it was sent.
        encoding: One of ``ENCODINGS``.
        url: Where the body comes from.

    Raises:
        FetchError: If it is damaged, or ends before what was packed does; status ``network``.
    """
    decoder = None
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if decoder is None or decoder.eof:  # several may stand one after the other
                    decoder = zlib.decompressobj(_window_bits(encoding, rest))
                yield decoder.decompress(rest)
                rest = decoder.unused_data
    except zlib.error as error:
        raise FetchError(
            f"{url} sends a packed body that is damaged ({error})", status=Status.NETWORK
        ) from error
    if decoder is None or not decoder.eof:
        raise FetchError(
            f"{url} ended before the end of what it packed by {encoding!r}",
            status=Status.NETWORK,
        )


def _window_bits(encoding: str, body: bytes) -> int:
    """Tell zlib what comes; servers send "deflate" with its header, or without."""
    if encoding != "deflate":
        return _GZIP
    return _DEFLATE if body[0] & 0x0F == zlib.DEFLATED else _BARE_DEFLATE
