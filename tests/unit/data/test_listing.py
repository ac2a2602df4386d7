import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from gram.data.listing import list_folder

SETTLED_SECONDS = 0.02


@pytest.fixture(autouse=True)
def _settles_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gram.data.listing.SETTLED_NS", int(SETTLED_SECONDS * 1e9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "below/b.mp4", "below/deep/c.mp4", "other/d.mp4"):
        path = tmp_path / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "media"


@pytest.fixture
def memory(tmp_path: Path, folder: Path) -> Path:
    """Give a memory of the folder as it is."""
    time.sleep(2 * SETTLED_SECONDS)
    list_folder(folder, memory=tmp_path / "memory.json")
    return tmp_path / "memory.json"


def tamper(memory: Path) -> None:
    """Put a file into the memory that is in no folder: a listing that has it was remembered."""
    content = json.loads(memory.read_text())
    for names in content["names"].values():
        names[3].append("remembered.mp4")
    memory.write_text(json.dumps(content))


def remembered_in(folder: Path, memory: Path) -> list[str]:
    found = list_folder(folder, memory=memory).files
    return [path.rpartition("/")[0] for path in found if path.endswith("remembered.mp4")]


ALL = ["", "below", "below/deep", "other"]


def test_files_and_folders_come_in_order(folder: Path) -> None:
    listing = list_folder(folder)
    assert listing.files == ("a.mp4", "below/b.mp4", "below/deep/c.mp4", "other/d.mp4")
    assert listing.folders == ("below", "other", "below/deep")


def test_a_folder_that_did_not_change_is_not_read_again(folder: Path, memory: Path) -> None:
    tamper(memory)
    assert remembered_in(folder, memory) == ALL


def test_what_is_remembered_is_what_is_read(folder: Path, memory: Path) -> None:
    assert list_folder(folder, memory=memory) == list_folder(folder)


def change_by_adding(folder: Path) -> None:
    (folder / "new.mp4").touch()


def change_by_removing(folder: Path) -> None:
    (folder / "b.mp4").unlink()


def change_by_renaming(folder: Path) -> None:
    (folder / "b.mp4").rename(folder / "x.mp4")


def change_behind_the_time(folder: Path) -> None:
    before = folder.stat()
    (folder / "new.mp4").touch()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_by_replacing(folder: Path) -> None:
    before = folder.stat()
    folder.rename(folder.parent / ".old")
    (folder / "deep").mkdir(parents=True)
    (folder / "y.mp4").touch()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        change_by_adding,
        change_by_removing,
        change_by_renaming,
        change_behind_the_time,
        change_by_replacing,
    ],
    ids=lambda change: change.__name__,
)
def test_a_folder_that_changed_is_read_again_and_the_others_are_not(
    folder: Path, memory: Path, change: object
) -> None:
    tamper(memory)
    change(folder / "below")  # type: ignore[operator]
    assert "below" not in remembered_in(folder, memory)
    assert "other" in remembered_in(folder, memory)


def test_a_change_is_remembered_in_its_turn(folder: Path, memory: Path) -> None:
    change_by_adding(folder / "below")
    time.sleep(2 * SETTLED_SECONDS)
    list_folder(folder, memory=memory)
    tamper(memory)
    assert remembered_in(folder, memory) == ALL


def test_a_folder_that_changed_just_now_is_not_remembered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram.data.listing.SETTLED_NS", 3600 * 10**9)
    list_folder(folder, memory=tmp_path / "memory.json")
    assert not (tmp_path / "memory.json").exists()


def test_a_folder_with_a_link_to_nothing_is_read_each_time(
    folder: Path, tmp_path: Path, memory: Path
) -> None:
    (folder / "disk").symlink_to(tmp_path / "disk")
    time.sleep(2 * SETTLED_SECONDS)
    assert "disk" in list_folder(folder, memory=memory).files
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "e.mp4").touch()
    assert "disk/e.mp4" in list_folder(folder, memory=memory).files


def test_the_memory_of_another_folder_is_not_used(tmp_path: Path, memory: Path) -> None:
    tamper(memory)
    (tmp_path / "elsewhere").mkdir()
    assert list_folder(tmp_path / "elsewhere", memory=memory).files == ()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"folder": 1', "\x00\xff"], ids=repr)
def test_a_damaged_memory_is_made_anew(folder: Path, memory: Path, content: str) -> None:
    memory.write_text(content, encoding="latin-1")
    assert list_folder(folder, memory=memory) == list_folder(folder)
    assert json.loads(memory.read_text())["folder"] == str(folder)


def test_where_nothing_can_be_remembered_the_listing_is_right(folder: Path, memory: Path) -> None:
    below_a_file = memory / "memory.json"
    assert list_folder(folder, memory=below_a_file) == list_folder(folder)


def test_one_process_at_a_time_writes_the_memory(folder: Path, memory: Path) -> None:
    before = memory.read_bytes()
    change_by_adding(folder / "below")
    time.sleep(2 * SETTLED_SECONDS)
    with memory.with_name(f".{memory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "below/new.mp4" in list_folder(folder, memory=memory).files
        assert memory.read_bytes() == before
    list_folder(folder, memory=memory)
    assert memory.read_bytes() != before


def test_names_that_are_not_utf8_are_remembered(folder: Path, memory: Path) -> None:
    name = os.fsdecode(b"\xff\n.mp4")
    (folder / "below" / name).touch()
    time.sleep(2 * SETTLED_SECONDS)
    for _ in range(2):
        assert f"below/{name}" in list_folder(folder, memory=memory).files
