import os
import subprocess
import sys
from pathlib import Path

import pytest

from gram.data.media_files import (
    UNCHANGED,
    chunk_of,
    list_media,
    media_digests,
    without_suffix,
)


def touch(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_media_is_found_in_all_subfolders(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "a.mp4"), touch(tmp_path / "deep" / "er" / "b.webm")
    assert list_media(tmp_path) == {"a": (one,), "b": (two,)}


@pytest.mark.parametrize("name", ["a.MP4", "a.Mkv", "a.avi", "a"], ids=str)
def test_a_known_suffix_in_any_case_or_none_makes_a_media_file(tmp_path: Path, name: str) -> None:
    path = touch(tmp_path / name)
    assert list_media(tmp_path) == {"a": (path,)}


@pytest.mark.parametrize("name", ["a.txt", "a.npy", "a.depth.npy", "a.mp4.part", ".a.mp4"], ids=str)
def test_other_files_are_left_out(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name)
    kept = touch(tmp_path / "b.mp4")
    assert list_media(tmp_path) == {"b": (kept,)}


def test_a_name_is_matched_whole(tmp_path: Path) -> None:
    for name in ("video1.mp4", "video10.mp4", "x.1.mp4", "x.15.mp4"):
        touch(tmp_path / name)
    assert list(list_media(tmp_path)) == ["video1", "video10", "x.1", "x.15"]


def test_files_of_one_name_stand_together(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "a" / "v.mp4"), touch(tmp_path / "b" / "v.mkv")
    assert set(list_media(tmp_path)["v"]) == {one, two}


def test_a_file_of_a_repeated_name_changes_the_digest(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "v.mp4")
    before = media_digests(tmp_path, chunks=1)
    touch(tmp_path / "b" / "v.mp4")
    assert media_digests(tmp_path, chunks=1) != before


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.mp4", "a"), ("a.1.MKV", "a.1"), ("a", None), ("a.15", None), (".mp4", None)],
    ids=str,
)
def test_a_known_suffix_is_taken_off_a_name(name: str, stem: str | None) -> None:
    assert without_suffix(name) == stem


def test_a_missing_folder_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere is not there .* correct datasets.<name>.media"):
        list_media(tmp_path / "nowhere")


@pytest.mark.parametrize("is_there", [False, True], ids=["absent", "empty"])
def test_for_generated_media_the_folder_to_delete_is_named(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "media"
    if is_there:
        folder.mkdir()
    with pytest.raises(ValueError, match="delete results/generated/<name> to make them anew"):
        list_media(folder)


def test_a_folder_without_media_says_what_was_found(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"found 1 entries \(notes.txt\), and looked .* \.mp4 "):
        list_media(tmp_path)


def test_a_link_to_nothing_stands_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    assert list_media(tmp_path) == {"a": (tmp_path / "a.mp4",)}


def test_a_linked_folder_is_read_once_though_it_leads_back(tmp_path: Path) -> None:
    touch(tmp_path / "store" / "a.mp4")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "media")
    assert list(list_media(tmp_path / "media")) == ["a"]


@pytest.mark.parametrize(
    ("name", "crc32"), [("", 0), ("a", 0xE8B7BE43), ("123456789", 0xCBF43926)], ids=repr
)
def test_the_chunk_is_the_checksum_of_the_name(name: str, crc32: int) -> None:
    assert chunk_of(name, 1000) == crc32 % 1000


def test_chunks_share_the_names_about_evenly() -> None:
    counts = [0] * 5
    for number in range(1000):
        counts[chunk_of(f"video{number}", 5)] += 1
    assert min(counts) > 150


@pytest.mark.parametrize("name", ["v0.mp4", "v0.depth.npy"], ids=["media", "depth"])
def test_a_changed_file_changes_the_digest_of_its_chunk_only(tmp_path: Path, name: str) -> None:
    for number in range(8):
        touch(tmp_path / f"v{number}.mp4")
        touch(tmp_path / f"v{number}.depth.npy")
    before = media_digests(tmp_path, chunks=4)
    touch(tmp_path / name, "longer")
    after = media_digests(tmp_path, chunks=4)
    changed = [number for number in range(4) if before[number] != after[number]]
    assert changed == [chunk_of("v0", 4)]


def test_a_file_written_anew_changes_the_digest(tmp_path: Path) -> None:
    path = touch(tmp_path / "v.mp4")
    before = media_digests(tmp_path, chunks=1)
    os.utime(path, ns=(1, 1))
    assert media_digests(tmp_path, chunks=1) != before


def test_other_files_leave_the_digest_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path / "v.mp4")
    before = media_digests(tmp_path, chunks=1)
    touch(tmp_path / "v.txt")
    assert media_digests(tmp_path, chunks=1) == before


def test_the_digest_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    for place in ("one", "two"):
        os.utime(touch(tmp_path / place / "v.mp4"), ns=(1, 1))
    one, two = (media_digests(tmp_path / place, chunks=1) for place in ("one", "two"))
    assert one == two


def test_listing_media_loads_the_standard_library_only() -> None:
    code = "import sys, gram.data.media_files; print({'av', 'pandas', 'pyarrow'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "set()"


def test_files_that_changed_before_a_chunk_was_written_do_not_count(tmp_path: Path) -> None:
    early, late = tmp_path / "early.mp4", tmp_path / "late.mp4"
    for path, second in ((early, 100), (late, 300)):
        path.write_bytes(b"x")
        os.utime(path, (second, second))
    written = [0, 0, 0, 0]
    written[chunk_of("early", 4)] = written[chunk_of("late", 4)] = 200 * 10**9
    digests = media_digests(tmp_path, chunks=4, changed_after_ns=written)
    assert digests[chunk_of("early", 4)] == UNCHANGED
    assert digests[chunk_of("late", 4)] != UNCHANGED
