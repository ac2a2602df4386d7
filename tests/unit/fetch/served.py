"""A server on this machine that misbehaves as it is told, one answer after the other."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gram.fetch.download import Expected, Fetched, download
from gram.fetch.patience import Patience

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHOLE = Expected(bytes=len(CONTENT), sha256=SHA256)
PAGE = b"<!DOCTYPE html>\n<html><head><title>Quota &amp; more</title></head>no</html>"


@dataclass(kw_only=True)
class Reply:
    """How one request is answered; the default is as a good server does.

    Attributes:
        code: Status of the answer; None: 200, or 206 where a range is asked for.
        content: The whole file.
        tag: Its ETag; None: none is sent.
        cut: Bytes of the body after which the connection is cut; None: it is not.
        stall: Bytes of the body after which nothing more comes for ``stall_seconds``.
        ranges: Whether ranges are heeded.
        is_blind: Whether If-Range is not heeded.
        drip_seconds: Wait after each single byte of the body; None: it is sent at once.
        raw: Sent instead of an answer; None: an answer is sent.
        headers: Sent besides.
    """

    code: int | None = None
    content: bytes = b""
    tag: str | None = '"one"'
    cut: int | None = None
    stall: int | None = None
    stall_seconds: float = 3.0
    ranges: bool = True
    is_blind: bool = False
    has_length: bool = True
    drip_seconds: float | None = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """One request that came."""

    path: str
    headers: dict[str, str]

    @property
    def offset(self) -> int:
        """First byte that was asked for."""
        wanted = self.headers.get("Range", "bytes=0-")
        return int(wanted.removeprefix("bytes=").split("-")[0])


@dataclass
class Server:
    """A running server: where it is, and what it was asked."""

    url: str
    asked: list[Asked]

    def at(self, name: str) -> str:
        """Give the address of a file."""
        return f"{self.url}/{name}"


@contextmanager
def serve(answers: Sequence[Reply] | Callable[[Asked], Reply]) -> Iterator[Server]:
    """Run a server; the last of the answers is given to all later requests."""
    asked: list[Asked] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            one = Asked(self.path, dict(self.headers.items()))
            with lock:
                asked.append(one)
                number = len(asked) - 1
            reply = answers(one) if callable(answers) else answers[min(number, len(answers) - 1)]
            self.close_connection = True
            with suppress(BrokenPipeError, ConnectionResetError):  # the client has enough
                _answer(self, reply, one)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, reply: Reply, asked: Asked) -> None:
    if reply.raw is not None:
        handler.wfile.write(reply.raw)
        return
    start, code = 0, reply.code
    is_same = reply.is_blind or asked.headers.get("If-Range") in (None, reply.tag)
    if code is None:
        code = 200
        if reply.ranges and "Range" in asked.headers and is_same:
            start = asked.offset
            code = 206 if start < len(reply.content) else 416
    body = b"" if code == 416 else reply.content[start:]
    handler.send_response(code)
    if code == 206:
        last, total = len(reply.content) - 1, len(reply.content)
        handler.send_header("Content-Range", f"bytes {start}-{last}/{total}")
    if code == 416:
        handler.send_header("Content-Range", f"bytes */{len(reply.content)}")
    handler.send_header("Connection", "close")
    if reply.tag is not None:
        handler.send_header("ETag", reply.tag)
    if reply.has_length:
        handler.send_header("Content-Length", str(len(body)))
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command == "HEAD":
        return
    stop = min(len(body) if at is None else at for at in (reply.cut, reply.stall))
    if reply.drip_seconds is not None:
        for byte in body[:stop]:
            handler.wfile.write(bytes([byte]))
            time.sleep(reply.drip_seconds)
        return
    handler.wfile.write(body[:stop])
    handler.wfile.flush()
    if reply.stall is not None:
        time.sleep(reply.stall_seconds)
    if reply.cut is None and reply.stall is None:
        return
    handler.connection.close()


GOOD = Reply(content=CONTENT)


class Waits(list[float]):
    """Waits that were asked for, and not kept."""


def patience(waits: Waits | None = None, **changed: object) -> Patience:
    """Give the patience of tests: its waits are noted, and not kept."""
    chosen = {"sleep": [].append if waits is None else waits.append, "stall_seconds": 0.3}
    return Patience(**{**chosen, **changed})  # type: ignore[arg-type]


def fetch(
    server: Server, folder: Path, *, name: str = "a.bin", waits: Waits | None = None
) -> Fetched:
    """Fetch a file of which all is known."""
    return download(server.at(name), folder / name, expected=WHOLE, patience=patience(waits))


def left(folder: Path) -> list[str]:
    """Name what stands in a folder, but for locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")
