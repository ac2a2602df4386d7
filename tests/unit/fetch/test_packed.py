import gzip
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from gram.data.status import Status
from gram.fetch.download import Expected, download
from gram.fetch.errors import FetchError
from tests.unit.fetch.served import CONTENT, GOOD, SHA256, WHOLE, Reply, fetch, patience, serve


def bare_deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def chunked(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


PACKED = {
    "gzip": ("gzip", gzip.compress(CONTENT)),
    "two gzips": ("gzip", gzip.compress(CONTENT[:9]) + gzip.compress(CONTENT[9:])),
    "deflate": ("deflate", zlib.compress(CONTENT)),
    "bare deflate": ("deflate", bare_deflated(CONTENT)),
}
packed = pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)


@packed
def test_a_packed_answer_is_unpacked(encoding: str, body: bytes, tmp_path: Path) -> None:
    answer = Reply(content=body, has_length=False, headers={"Content-Encoding": encoding})
    with serve([answer]) as server:
        assert fetch(server, tmp_path).path.read_bytes() == CONTENT


@packed
@pytest.mark.parametrize("has_length", [True, False], ids=["announced", "unannounced"])
def test_a_packed_answer_that_is_cut_is_not_taken(
    has_length: bool, encoding: str, body: bytes, tmp_path: Path
) -> None:
    cut = Reply(
        content=body,
        cut=len(body) - 3,
        has_length=has_length,
        headers={"Content-Encoding": encoding},
    )
    target = tmp_path / "a.bin"
    with serve([cut]) as server, pytest.raises(FetchError) as error:
        download(server.at("a.bin"), target, patience=patience(tries=2))
    assert error.value.status is Status.NETWORK
    assert not target.exists()
    with serve([cut, replace(cut, cut=None)]) as server:
        assert download(server.at("a.bin"), target, patience=patience()).sha256 == SHA256


def test_a_packed_answer_that_is_damaged_is_not_taken(tmp_path: Path) -> None:
    bad = Reply(content=b"no gzip", headers={"Content-Encoding": "gzip"})
    with serve([bad]) as server, pytest.raises(FetchError, match="packed body that is damaged"):
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience(tries=2))


def test_a_packing_that_is_not_known_is_named(tmp_path: Path) -> None:
    odd = Reply(content=b"x", headers={"Content-Encoding": "br"})
    with serve([odd]) as server, pytest.raises(FetchError, match="packs the file by 'br' although"):
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience())
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "expected", "is_told"),
    [
        (Reply(content=CONTENT, has_length=False), Expected(), True),
        (Reply(content=CONTENT, has_length=False), WHOLE, False),
        (GOOD, Expected(), False),
        (
            Reply(
                content=chunked(CONTENT),
                has_length=False,
                headers={"Transfer-Encoding": "chunked"},
            ),
            Expected(),
            False,
        ),
    ],
    ids=["nothing known", "expected", "announced", "chunked"],
)
def test_an_end_that_cannot_be_checked_is_told_of(
    answer: Reply,
    expected: Expected,
    is_told: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve([answer]) as server:
        fetched = download(
            server.at("a.bin"), tmp_path / "a.bin", expected=expected, patience=patience()
        )
    assert fetched.sha256 == SHA256
    assert ("write bytes or sha256 into the table of sources" in caplog.text) is is_told


@pytest.mark.parametrize("cut", [50, len(chunked(CONTENT)) - 5])
def test_chunks_that_are_cut_are_not_taken(cut: int, tmp_path: Path) -> None:
    answer = Reply(
        content=chunked(CONTENT),
        cut=cut,
        has_length=False,
        headers={"Transfer-Encoding": "chunked"},
    )
    with serve([answer]) as server, pytest.raises(FetchError, match="breaks the connection"):
        download(server.at("a.bin"), tmp_path / "a.bin", patience=patience(tries=2))
    assert not (tmp_path / "a.bin").exists()
