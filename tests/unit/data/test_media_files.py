import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gram.data.media_files import (
    UNCHANGED,
    chunk_of,
    digest_of_files,
    files_by_chunk,
    find_media,
    list_media,
    without_suffix,
)
from gram.data.probe import probe_chunk
from gram.data.tables import CLIPS, read_rows, write_rows


def media_digests(folder: Path, *, chunks: int) -> list[str]:
    files = files_by_chunk(folder, chunks=chunks)
    return [digest_of_files(folder, of_chunk) for of_chunk in files]


def touch(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_media_is_found_in_all_subfolders(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "a.mp4"), touch(tmp_path / "deep" / "er" / "b.webm")
    found = list_media(tmp_path)
    assert (found.named("a"), found.named("b")) == ((one,), (two,))


@pytest.mark.parametrize("name", ["a.MP4", "a.Mkv", "a.avi", "a"], ids=str)
def test_a_known_suffix_in_any_case_or_none_makes_a_media_file(tmp_path: Path, name: str) -> None:
    path = touch(tmp_path / name)
    assert list_media(tmp_path).named("a") == (path,)


@pytest.mark.parametrize("name", ["a.txt", "a.npy", "a.depth.npy", "a.mp4.part", ".a.mp4"], ids=str)
def test_other_files_are_left_out(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name)
    touch(tmp_path / "b.mp4")
    assert list_media(tmp_path).by_stem == {"b": ("b.mp4",)}


def test_a_name_is_matched_whole(tmp_path: Path) -> None:
    for name in ("video1.mp4", "video10.mp4", "x.1.mp4", "x.15.mp4"):
        touch(tmp_path / name)
    assert list(list_media(tmp_path).by_stem) == ["video1", "video10", "x.1", "x.15"]
    assert list_media(tmp_path).named("video") == ()


def test_files_of_one_name_stand_together(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "a" / "v.mp4"), touch(tmp_path / "b" / "v.mkv")
    assert set(list_media(tmp_path).named("v")) == {one, two}


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
    assert list_media(tmp_path).named("a") == (tmp_path / "a.mp4",)


def test_a_linked_folder_is_read_once_though_it_leads_back(tmp_path: Path) -> None:
    touch(tmp_path / "store" / "a.mp4")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "media")
    assert list_media(tmp_path / "media").by_stem == {"a": ("link/a.mp4",)}


def test_a_link_that_leads_to_itself_stands_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "a.mp4")
    assert list_media(tmp_path).named("a") == (tmp_path / "a.mp4",)
    assert media_digests(tmp_path, chunks=1) == media_digests(tmp_path, chunks=1)


def test_two_names_of_one_file_are_no_two_files(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "v.mp4")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "v.mp4").symlink_to(tmp_path / "a" / "v.mp4")
    (tmp_path / "b" / "v.mkv").hardlink_to(tmp_path / "a" / "v.mp4")
    assert list_media(tmp_path).named("v") == (tmp_path / "a" / "v.mp4",)


@pytest.mark.parametrize(
    "stem",
    [
        "a\nb",
        "-dash",
        "--help",
        "épée 剣",
        " two  words ",
        "http:x",
        "%03d",
        "a;rm",
        "a\tb",
        "x" * 200,
    ],
    ids=repr,
)
def test_a_name_may_hold_anything(tmp_path: Path, stem: str) -> None:
    path = touch(tmp_path / f"{stem}.mp4")
    assert list_media(tmp_path).named(stem) == (path,)


def test_a_name_that_is_not_utf8_is_listed(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    path.touch()
    assert list_media(tmp_path).named(os.fsdecode(b"\xff")) == (path,)
    assert files_by_chunk(tmp_path, chunks=1) == ((path.name,),)


@pytest.mark.parametrize(
    ("source_id", "near"),
    [
        ("Video1.mp4", "Video1.mp4"),
        ("video1", "Video1.mp4"),
        ("e\u0301", "\u00e9.mp4"),
        ("video", None),
        ("video10", None),
    ],
    ids=["suffix", "case", "form of unicode", "beginning", "longer"],
)
def test_a_near_name_is_told_and_not_taken(
    tmp_path: Path, source_id: str, near: str | None
) -> None:
    touch(tmp_path / "Video1.mp4")
    touch(tmp_path / "\u00e9.mp4")
    found = list_media(tmp_path)
    assert found.named(source_id) == ()
    assert found.near(source_id) == (tmp_path / near if near else None)


def test_a_folder_with_the_name_of_a_clip_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "deep" / "v.mp4" / "w.mp4")
    found = list_media(tmp_path)
    assert (found.folder_named("v"), found.folder_named("w")) == (tmp_path / "deep" / "v.mp4", None)


# --- folders that cannot be read ------------------------------------------------------------------


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with a.mp4 and, in a subfolder that nobody may read, b.mp4."""
    touch(tmp_path / "media" / "a.mp4")
    touch(tmp_path / "media" / "secret" / "b.mp4")
    monkeypatch.chdir(tmp_path)  # folders above may be closed, too
    tmp_path.chmod(0o777)
    (tmp_path / "media" / "secret").chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)  # or it would be allowed to read everything
    yield Path("media")
    if is_root:
        os.seteuid(0)
    (tmp_path / "media" / "secret").chmod(0o755)


def test_a_subfolder_that_cannot_be_read_is_told_and_costs_its_own_files(closed: Path) -> None:
    found = list_media(closed)
    assert found.unreadable == {"secret": "Permission denied"}
    assert list(found.by_stem) == ["a"]


def test_a_clip_without_a_file_is_told_of_folders_that_cannot_be_read(
    closed: Path,
) -> None:
    write_rows(Path("clips.parquet"), [{"clip_id": "b", "source_id": "b"}], schema=CLIPS)
    output = Path("probe.parquet")
    probe_chunk(Path("clips.parquet"), media=closed, chunk=0, chunks=1, output=output, workers=1)
    (row,) = read_rows(output)
    assert row["reason"] == (
        "no media file named 'b' in media; 1 folders in it cannot be read (secret: Permission "
        "denied)"
    )


def test_a_media_folder_that_cannot_be_read_is_an_error(closed: Path) -> None:
    with pytest.raises(ValueError, match=r"secret cannot be read \(Permission denied\); give its"):
        list_media(closed / "secret")


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
    for name, second in (("early.mp4", 100), ("late.mp4", 300)):
        os.utime(touch(tmp_path / name), (second, second))
    early, late = (
        digest_of_files(tmp_path, [name], changed_after_ns=200 * 10**9)
        for name in ("early.mp4", "late.mp4")
    )
    assert early == UNCHANGED
    assert late == digest_of_files(
        tmp_path, ["early.mp4", "late.mp4"], changed_after_ns=200 * 10**9
    )
    assert late != UNCHANGED


def test_a_folder_may_be_asked_for_media_that_it_lacks(tmp_path: Path) -> None:
    assert find_media(tmp_path).by_stem == {}
    with pytest.raises(ValueError, match="is not there"):
        find_media(tmp_path / "nowhere")
