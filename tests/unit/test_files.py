import errno
import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gram.files import DiskFullError, atomic_path, full_disk_explained, sha256_of, write_text


def write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_when_the_block_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "whole"


def test_nothing_else_is_left(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


def test_until_then_it_has_another_name_in_the_same_folder(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert temporary.parent == tmp_path
        assert not (tmp_path / "a.txt").exists()


def test_the_folder_is_made(tmp_path: Path) -> None:
    write(tmp_path / "b" / "c" / "a.txt", "whole")
    assert (tmp_path / "b" / "c" / "a.txt").is_file()


def fail_halfway(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError("in between")


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in between"):
        fail_halfway(tmp_path / "a.txt")
    assert names(tmp_path) == []


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "before")
    with pytest.raises(RuntimeError, match="in between"):
        fail_halfway(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "before"


def exit_halfway(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        sys.exit(143)


def test_a_job_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        exit_halfway(tmp_path / "a.txt")
    assert names(tmp_path) == []


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass


def test_a_block_that_writes_nothing_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "before")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "before"


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from gram.files import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.txt"], cwd=root, check=False, timeout=60
    )
    left = names(tmp_path)
    write(tmp_path / "a.txt", "whole")
    assert (left, names(tmp_path)) == ([".a.txt.part"], ["a.txt"])


def test_the_temporary_file_is_fresh(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.part").write_text("left over", encoding="utf-8")
    with atomic_path(tmp_path / "a.txt") as temporary:
        assert not temporary.exists()
        temporary.write_text("whole", encoding="utf-8")


def test_a_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "größer\n")
    assert (tmp_path / "a.txt").read_bytes() == "größer\n".encode()


@pytest.mark.parametrize("content", [b"", b"abc", b"\x00" * 3_000_000], ids=len)
def test_the_digest_is_that_of_the_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


# --- a full disk ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=["disk", "quota", "file"]
)
def test_a_full_disk_is_explained(tmp_path: Path, number: int) -> None:
    words = rf"no space to write in {tmp_path}: \d+ MiB are free on its disk, .* and run again"
    with pytest.raises(DiskFullError, match=words), full_disk_explained(tmp_path):
        raise OSError(number, "full")


def test_a_folder_that_is_not_there_yet_is_looked_for_above(tmp_path: Path) -> None:
    folder, words = tmp_path / "not" / "yet", rf"write in {tmp_path}: "
    with pytest.raises(DiskFullError, match=words), full_disk_explained(folder):
        raise OSError(errno.ENOSPC, "full")


def test_the_first_explanation_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with (
        pytest.raises(DiskFullError, match="inner"),
        full_disk_explained(tmp_path),
        full_disk_explained(inner),
    ):
        raise OSError(errno.ENOSPC, "full")


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="no"), full_disk_explained(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def write_on(path: Path, error: Exception) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error


def test_every_writer_explains_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match=rf"no space to write in {tmp_path / 'b'}: "):
        write_on(tmp_path / "b" / "a.txt", OSError(errno.ENOSPC, "full"))


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError):
        write_on(tmp_path / "a.txt", OSError(errno.ENOSPC, "full"))
    assert names(tmp_path) == []


WITHOUT_NUMBER = [
    OSError("1000000 requested and 8176 written"),
    RuntimeError("unexpected pos 576 vs 534"),
]


@pytest.mark.parametrize("error", WITHOUT_NUMBER, ids=["numpy", "torch"])
def test_an_error_without_a_number_counts_as_a_full_disk_where_nothing_is_free(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(DiskFullError, match="0 MiB are free on its disk"):
        write_on(tmp_path / "a.txt", error)


@pytest.mark.parametrize("error", WITHOUT_NUMBER, ids=["numpy", "torch"])
def test_an_error_without_a_number_stays_as_it_is_where_there_is_room(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**40))
    with pytest.raises(type(error), match=str(error)):
        write_on(tmp_path / "a.txt", error)


def test_what_a_user_can_mend_is_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(ValueError, match="no clip"):
        write_on(tmp_path / "a.txt", ValueError("no clip"))
