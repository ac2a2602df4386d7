import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from gram.files import atomic_path, sha256_of, write_text


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
