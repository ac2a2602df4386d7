"""Shards on a disk of the node: whole while they are read, gone afterwards, a killed job's too."""

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gram.data.staging import staged

NAMES = ("0000-000.tar", "0001-000.tar")
KILLED = (
    "import os, signal, sys; from pathlib import Path; from gram.data.staging import staged\n"
    "with staged(Path(sys.argv[1]), sys.argv[2:]) as copy:\n"
    "    print(copy, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder that temporary files go to."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return folder


def test_shards_are_copied_to_where_temporary_files_go(shards: Path, scratch: Path) -> None:
    with staged(shards, NAMES[:1]) as copy:
        assert copy.is_relative_to(scratch)
        assert [path.name for path in copy.glob("*.tar")] == [NAMES[0]]
        assert (copy / NAMES[0]).read_bytes() == (shards / NAMES[0]).read_bytes()


def test_they_are_removed_when_an_error_ends_the_reading(shards: Path, scratch: Path) -> None:
    with pytest.raises(KeyError), staged(shards, NAMES):
        raise KeyError
    assert list(scratch.rglob("*.tar")) == []


def test_what_a_killed_job_left_is_removed_by_the_next(shards: Path, scratch: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(shards), *NAMES]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    left = Path(done.stdout.strip())
    assert (left / NAMES[0]).is_file()
    with staged(shards, NAMES):
        assert not left.exists()


def test_what_a_living_job_reads_stays(shards: Path, scratch: Path) -> None:
    code = KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(shards), *NAMES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with staged(shards, NAMES) as ours:
            assert ours != theirs
            assert (theirs / NAMES[0]).is_file()


def test_a_disk_that_is_too_small_is_said_before_anything_is_copied(
    shards: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(10, 9, 2**20)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    message = (
        "the 2 shards of .* need 1.0 GiB on the disk of .*, and 0.0 GiB are free; set `tmpdir`"
    )
    with pytest.raises(ValueError, match=message), staged(shards, NAMES):
        pass
    assert list(scratch.rglob("*.tar")) == []
