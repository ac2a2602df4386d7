import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gram.config.sources import DriveSource, HandSource, HttpSource, HubSource
from gram.data.status import Status
from gram.fetch.download import Expected
from gram.fetch.drive import fetch_from_drive
from gram.fetch.errors import FetchError
from gram.fetch.hub import fetch_from_hub
from gram.fetch.plan import is_own
from gram.fetch.sources import ByHandError, fetch_source, place_annotation, receive
from tests.unit.fetch.served import Asked, Reply, Server, serve

STATED = {"dataset": "own", "what": "some sentences", "license": "CC0"}
TEXT = b'[{"video_id": "a", "desc": "a dog"}]'
SHA256 = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    """Give a zip with annotations, media, and what archives hold besides."""
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("deep/test.json", TEXT)
        file.writestr("deep/train.json", b"[]")
        file.writestr("videos/a.mp4", b"first")
        file.writestr("videos/more/b.MKV", b"second")
        file.writestr("videos/._a.mp4", b"finder")
        file.writestr("__MACOSX/deep/test.json", b"finder")
    return path.read_bytes()


@pytest.fixture
def server(archive: bytes) -> Iterator[Server]:
    def answer(asked: Asked) -> Reply:
        return Reply(content=archive if asked.path.endswith(".zip") else TEXT)

    with serve(answer) as running:
        yield running


def over_http(server: Server, file: str, *, role: str, members: Sequence[str] = ()) -> HttpSource:
    given = {"kind": "http", "role": role, "url": server.at(file), "file": file}
    return HttpSource.model_validate({**STATED, **given, "members": members})


def by_hand(**given: object) -> HandSource:
    page = {"kind": "hand", "url": "https://example.org/form", "how": "sign the form"}
    return HandSource.model_validate(
        {**STATED, "role": "annotations", "file": "a.json", **page, **given}
    )


def test_the_members_that_are_wanted_come_without_their_folders(
    server: Server, tmp_path: Path
) -> None:
    source = over_http(server, "a.zip", role="annotations", members=["test.json"])
    received = fetch_source("own", source, tmp_path / "to")
    assert received.files == ("test.json",)
    assert (tmp_path / "to/test.json").read_bytes() == TEXT
    assert not (tmp_path / "to/train.json").exists()


def test_a_member_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    source = over_http(server, "a.zip", role="annotations", members=["val.json"])
    with pytest.raises(FetchError, match=r"holds no val\.json; look into it"):
        fetch_source("own", source, tmp_path / "to")


def test_all_media_of_an_archive_go_to_the_media_folder(server: Server, tmp_path: Path) -> None:
    source = over_http(server, "a.zip", role="videos")
    receive_into(tmp_path, source)
    media = tmp_path / "media"
    found = sorted(path.relative_to(media).as_posix() for path in media.rglob("*.*"))
    assert found == ["videos/a.mp4", "videos/more/b.MKV"]
    receipt = json.loads((tmp_path / "receipt.json").read_text(encoding="utf-8"))
    assert receipt["files"] == found
    assert receipt["from"]["license"] == "CC0"


def receive_into(folder: Path, source: HttpSource) -> None:
    receive(
        "own",
        source,
        folder=folder / "files",
        media=str(folder / "media"),
        receipt=folder / "receipt.json",
    )


def test_an_archive_without_media_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("read.me", b"nothing")
    source = by_hand(role="videos", file="a.zip")
    with pytest.raises(FetchError, match="holds no media file, but 1 others"):
        fetch_source("own", source, tmp_path, media=tmp_path / "media")


# --- annotation files ----------------------------------------------------------------------------


def test_an_annotation_file_is_put_where_it_is_wanted(server: Server, tmp_path: Path) -> None:
    source = over_http(server, "a.zip", role="annotations", members=["test.json"])
    receive_into(tmp_path, source)
    wanted = tmp_path / "data/own/test.json"
    place_annotation(tmp_path / "receipt.json", annotation=wanted)
    assert wanted.read_bytes() == TEXT
    assert not is_own(wanted)


def test_a_fetched_file_that_was_deleted_is_named(server: Server, tmp_path: Path) -> None:
    receive_into(tmp_path, over_http(server, "test.json", role="annotations"))
    (tmp_path / "files/test.json").unlink()
    with pytest.raises(ValueError, match=r"is not there; delete .*receipt\.json"):
        place_annotation(tmp_path / "receipt.json", annotation=tmp_path / "data/test.json")


# --- by hand -------------------------------------------------------------------------------------


def test_what_has_to_be_done_by_hand_is_said_and_written_down(tmp_path: Path) -> None:
    source = by_hand(sha256=SHA256, bytes=len(TEXT))
    with pytest.raises(ByHandError) as error:
        fetch_source("lent", source, tmp_path)
    page = (tmp_path / "a.json.how-to-get-it.txt").read_text(encoding="utf-8")
    for words in (
        "The source lent has to be put in place by hand.",
        "what it is   some sentences",
        "where        https://example.org/form",
        "what to do   sign the form",
        "license      CC0",
        f"put it at    {tmp_path / 'a.json'}",
        f"size         {len(TEXT)} bytes",
        f"SHA-256      {SHA256}",
        "--keep-going",
    ):
        assert words in page
        assert words in str(error.value)


def test_a_file_that_was_put_there_is_checked_and_the_page_goes(tmp_path: Path) -> None:
    source = by_hand(sha256=SHA256)
    with pytest.raises(ByHandError):
        fetch_source("lent", source, tmp_path)
    (tmp_path / "a.json").write_bytes(TEXT)
    assert fetch_source("lent", source, tmp_path).fetched.sha256 == SHA256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"x": 1}]', "is there, but its SHA-256 is"),
        (b"<html><title>Sign in</title>", "is there, but its SHA-256 is"),
    ],
)
def test_a_wrong_file_that_was_put_there_is_named(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FetchError, match=words):
        fetch_source("lent", by_hand(sha256=SHA256), tmp_path)


def test_a_page_that_was_saved_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"<html><title>Sign in</title>")
    with pytest.raises(FetchError, match="it is a page of HTML titled 'Sign in'"):
        fetch_source("lent", by_hand(), tmp_path)


# --- Google Drive --------------------------------------------------------------------------------


def from_drive(server: Server, folder: Path, *, expected: Expected | None = None) -> bytes:
    fetched = fetch_from_drive(
        "abc",
        folder / "a.json",
        expected=expected or Expected(),
        address=server.at("uc?id={id}"),
    )
    return fetched.path.read_bytes()


def test_a_file_comes_from_drive(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "to"
    assert from_drive(server, to, expected=Expected(sha256=SHA256)) == TEXT
    assert sorted(path.name for path in to.iterdir() if path.suffix != ".lock") == ["a.json"]
    assert server.asked[0].path == "/uc?id=abc"


def test_a_wrong_file_from_drive_is_named_and_removed(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "to"
    with pytest.raises(FetchError, match="is not what was expected: it has 36 bytes, and not 7"):
        from_drive(server, to, expected=Expected(bytes=7))
    assert [path.name for path in to.iterdir() if path.suffix != ".lock"] == []


def test_a_page_from_drive_is_named(tmp_path: Path) -> None:
    page = Reply(content=b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>")
    with serve([page]) as server, pytest.raises(FetchError, match="Quota exceeded"):
        from_drive(server, tmp_path)


def test_a_file_that_is_not_on_drive_is_named(tmp_path: Path) -> None:
    with serve([Reply(code=404)]) as server, pytest.raises(FetchError, match="404"):
        from_drive(server, tmp_path)


def test_a_drive_source_names_an_id() -> None:
    given = {**STATED, "role": "annotations", "kind": "drive", "file": "a.json"}
    assert DriveSource.model_validate({**given, "id": "1s_YMQ-x"}).id == "1s_YMQ-x"


# --- Hugging Face --------------------------------------------------------------------------------

HUB = HubSource.model_validate(
    {**STATED, "role": "weights", "kind": "hub", "repo": "who/what", "file": "a.json"}
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def from_hub(server: Server, folder: Path, *, expected: Expected | None = None) -> bytes:
    fetched = fetch_from_hub(
        HUB, folder / "a.json", expected=expected or Expected(), endpoint=server.url
    )
    return fetched.path.read_bytes()


def on_hub(**changed: object) -> Reply:
    headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(TEXT))}
    return Reply(**{"content": TEXT, "headers": headers, **changed})  # type: ignore[arg-type]


def test_a_file_comes_from_the_hub(tmp_path: Path) -> None:
    with serve([on_hub()]) as server:
        assert from_hub(server, tmp_path, expected=Expected(sha256=SHA256)) == TEXT
    assert any(one.path == "/who/what/resolve/main/a.json" for one in server.asked)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["a.json"]


def test_a_wrong_file_from_the_hub_is_named(tmp_path: Path) -> None:
    with (
        serve([on_hub()]) as server,
        pytest.raises(FetchError, match="who/what is not what was expected: its SHA-256 is"),
    ):
        from_hub(server, tmp_path, expected=Expected(sha256="0" * 64))
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("code", "error", "status", "words"),
    [
        (404, "EntryNotFound", Status.DEAD, r"has no a\.json at main"),
        (404, "RepoNotFound", Status.DEAD, r"has no a\.json at main"),
        (403, "GatedRepo", Status.PRIVATE, "agreed to its terms: do so there, and set HF_TOKEN"),
        (503, "", Status.NETWORK, "cannot be reached"),
    ],
)
def test_what_the_hub_does_not_give_is_named(
    code: int,
    error: str,
    status: Status,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client's waits between its tries
    refusal = Reply(code=code, headers={"X-Error-Code": error, "X-Repo-Commit": COMMIT})
    with serve([refusal]) as server, pytest.raises(FetchError, match=words) as raised:
        from_hub(server, tmp_path)
    assert raised.value.status is status
