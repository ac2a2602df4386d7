import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gram.fetch.archives import Unpacked, unpack
from gram.fetch.errors import FetchError

FILES = {"clips/a.mp4": b"first", "clips/b.mp4": b"second", "read me.txt": b"text"}


def make_zip(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("empty")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_special(path: Path, kind: bytes, *, name: str = "x", target: str = "") -> Path:
    """Make a tar that holds one member that is no plain file."""
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return path


MAKERS = {"zip": make_zip, "tar": make_tar, "tar.gz": make_tar}
both = pytest.mark.parametrize("kind", MAKERS)


def make(kind: str, folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    return MAKERS[kind](folder / f"archive.{kind}", files)


def unpacked(archive: Path, folder: Path) -> Unpacked:
    return unpack(archive, folder, wanted=lambda name: name)


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@both
def test_an_archive_is_unpacked(kind: str, tmp_path: Path) -> None:
    done = unpacked(make(kind, tmp_path), tmp_path / "to")
    assert content(tmp_path / "to") == FILES
    assert done == Unpacked(files=tuple(FILES), written=3, left_out=0)


@both
def test_files_that_are_there_are_left_as_they_are(kind: str, tmp_path: Path) -> None:
    archive = make(kind, tmp_path)
    unpacked(archive, tmp_path / "to")
    before = (tmp_path / "to/clips/a.mp4").stat().st_mtime_ns
    (tmp_path / "to/clips/b.mp4").unlink()
    assert unpacked(archive, tmp_path / "to").written == 1
    assert (tmp_path / "to/clips/a.mp4").stat().st_mtime_ns == before


@both
@pytest.mark.parametrize("other", [b"mine!", b"mine"], ids=["same size", "another size"])
def test_a_file_with_other_content_is_named_and_left(
    kind: str, other: bytes, tmp_path: Path
) -> None:
    mine = tmp_path / "to/clips/a.mp4"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(other)
    with pytest.raises(FetchError, match=r"a\.mp4 is there with other content"):
        unpacked(make(kind, tmp_path), tmp_path / "to")
    assert mine.read_bytes() == other


@both
def test_what_is_not_wanted_is_counted(kind: str, tmp_path: Path) -> None:
    def flat(name: str) -> str | None:
        return Path(name).name if name.endswith(".mp4") else None

    done = unpack(make(kind, tmp_path), tmp_path / "to", wanted=flat)
    assert done == Unpacked(files=("a.mp4", "b.mp4"), written=2, left_out=1)
    assert sorted(content(tmp_path / "to")) == ["a.mp4", "b.mp4"]


@both
@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/out", "a\\..\\..\\out", "C:/out", "C:out"]
)
def test_a_member_that_would_leave_the_folder_is_refused(
    kind: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match="which would leave its folder"):
        unpacked(make(kind, tmp_path, {name: b"x"}), tmp_path / "to/folder")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.LNKTYPE, "../secret"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
    ids=["symbolic link", "hard link", "character device", "block device", "pipe"],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, target: str, tmp_path: Path) -> None:
    archive = make_special(tmp_path / "a.tar", kind, target=target)
    with pytest.raises(FetchError, match="holds 'x', a link or a device"):
        unpacked(archive, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(FetchError, match="holds 'x', a link or a device"):
        unpacked(tmp_path / "a.zip", tmp_path / "to")


def test_nothing_is_written_through_a_link_that_is_there(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_bytes(b"first")
    (tmp_path / "to/clips").mkdir(parents=True)
    (tmp_path / "to/clips/a.mp4").symlink_to(outside)
    with pytest.raises(FetchError, match="is there with other content"):
        unpacked(make_zip(tmp_path / "a.zip"), tmp_path / "to")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_before_it_is_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram.fetch.archives.LEAST_LIMIT_BYTES", 1000)
    archive = make(kind, tmp_path, {"zeros": bytes(10**6)})
    with pytest.raises(FetchError, match="far more than an honest archive of its size"):
        unpacked(archive, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"zeros": bytes(1000)})
    raw = archive.read_bytes().replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(raw)
    with pytest.raises(FetchError, match=r"is damaged|of another size"):
        unpacked(archive, tmp_path / "to")
    assert content(tmp_path) == {"a.zip": raw}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("kind", "harm"), [("zip", cut), ("zip", flip), ("tar.gz", cut), ("tar.gz", flip)]
)
def test_a_damaged_archive_is_named(
    kind: str, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    archive = make(kind, tmp_path, {"a": os.urandom(3000)})
    harm(archive)
    with pytest.raises(FetchError, match=r"is damaged .*; delete it, and start again"):
        unpacked(archive, tmp_path / "to")
    assert content(tmp_path / "to") == {}


def members_alone(num_members: int, num_zeros: int) -> bytes:
    """Give a tar of files of one block each, with so many zero bytes at its end."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for number in range(num_members):
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = 300
            archive.addfile(info, io.BytesIO(b"x" * 300))
    return raw.getvalue()[: 1024 * num_members] + bytes(num_zeros)


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("num_zeros", [0, 100, 512, 600])
def test_a_tar_that_ends_between_two_members_is_damaged(
    num_zeros: int, kind: str, tmp_path: Path
) -> None:
    archive, raw = tmp_path / f"a.{kind}", members_alone(2, num_zeros)
    archive.write_bytes(gzip.compress(raw) if kind == "tar.gz" else raw)
    words = rf"a\.{kind} is damaged .*it was cut.*; delete it, and start again"
    with pytest.raises(FetchError, match=words):
        unpacked(archive, tmp_path / "to")
    assert content(tmp_path / "to") == {}


def test_a_tar_whose_header_in_the_middle_is_damaged_is_named(tmp_path: Path) -> None:
    raw = bytearray(members_alone(3, 1024))
    raw[1024] ^= 0xFF
    archive = tmp_path / "a.tar"
    archive.write_bytes(raw)
    with pytest.raises(FetchError, match=r"a header cannot be read: .*; delete it"):
        unpacked(archive, tmp_path / "to")


@pytest.mark.parametrize("num_zeros", [1024, 10240])
def test_a_tar_that_ends_by_two_blocks_of_zeros_is_whole(num_zeros: int, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(members_alone(2, num_zeros))
    assert unpacked(archive, tmp_path / "to").written == 2


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_long_names_of_a_tar_are_read(form: int, tmp_path: Path) -> None:
    name = "/".join(["folder" * 20] * 3)
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert unpacked(tmp_path / "a.tar", tmp_path / "to").files == (name,)


BAD_NAMES = {
    "long": {"a": b"x", "n" * 300: b"y"},
    "long for a moment": {"a": b"x", "n" * 253: b"y"},
    "file, then folder": {"a": b"x", "a/b": b"y"},
    "file, then folders": {"a": b"x", "a/b/c": b"y"},
    "folder, then file": {"a/b": b"x", "a": b"y"},
}


@both
@pytest.mark.parametrize("files", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_name_that_no_file_can_have_is_an_error_that_names_the_archive(
    kind: str, files: Mapping[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=rf"archive\.{kind}") as error:
        unpacked(make(kind, tmp_path, files), tmp_path / "to")
    assert list(files)[1][:50] in str(error.value)
    assert content(tmp_path / "to") == {}
