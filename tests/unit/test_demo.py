"""`make demo` in a folder of its own; the workflow itself is run by tests/demo."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gram.demo import LOCK, main

ROOT = Path(__file__).parents[2]


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gram.demo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def second(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a demo while another one runs in the same folder."""
    lock = tmp_path / LOCK
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return run_demo(tmp_path)


def test_a_second_demo_does_not_start(second: subprocess.CompletedProcess[str]) -> None:
    assert second.returncode == 1


def test_a_second_demo_says_what_to_do(second: subprocess.CompletedProcess[str]) -> None:
    assert second.stdout == ("Another demo is running in this folder. Wait for it, or end it.\n")


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run the demo where there is no workflow."""
    return run_demo(tmp_path_factory.mktemp("empty"))


def test_a_demo_that_fails_has_the_status_of_snakemake(
    failed: subprocess.CompletedProcess[str],
) -> None:
    assert failed.returncode != 0


def test_a_demo_that_fails_shows_no_table(failed: subprocess.CompletedProcess[str]) -> None:
    assert failed.stdout == ""


def test_a_demo_that_fails_shows_the_words_of_snakemake(
    failed: subprocess.CompletedProcess[str],
) -> None:
    assert "profile" in failed.stderr


# --- Control-C --------------------------------------------------------------------------------


SLOW_TO_END = """
import signal, sys, time
from pathlib import Path

def end(number, frame):
    time.sleep(0.5)
    Path("jobs are ended").touch()
    sys.exit(1)

signal.signal(signal.SIGINT, end)
Path("begun").touch()
time.sleep(60)
"""
"""Stands in for Snakemake: ends some time after Control-C, as one does that ends its jobs."""


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[int, str, Path]:
    """Press Control-C in a demo; give its status, what it said, and its folder."""
    (tmp_path / "snakemake.py").write_text(SLOW_TO_END, encoding="utf-8")
    demo = subprocess.Popen(
        [sys.executable, "-m", "gram.demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    limit = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
    said, _ = demo.communicate(timeout=60)
    return demo.returncode, said, tmp_path


def test_control_c_ends_the_demo_quietly(interrupted: tuple[int, str, Path]) -> None:
    assert interrupted[:2] == (130, "")


def test_the_demo_waits_until_the_jobs_are_ended(interrupted: tuple[int, str, Path]) -> None:
    assert (interrupted[2] / "jobs are ended").exists()


def test_a_demo_that_was_ended_leaves_no_mark_of_a_killed_one(
    interrupted: tuple[int, str, Path],
) -> None:
    assert (interrupted[2] / LOCK).read_text(encoding="utf-8") == ""


# --- locks of others --------------------------------------------------------------------------


def leave_as_killed(folder: Path) -> None:
    (folder / LOCK).parent.mkdir(parents=True)
    (folder / LOCK).write_text("running\n", encoding="utf-8")


@pytest.fixture
def another_snakemake(tmp_path: Path) -> Iterator[int]:
    """Let something run in the folder that looks like a Snakemake; give its process id."""
    (tmp_path / "snakemake").write_text("import time; time.sleep(60)", encoding="utf-8")
    other = subprocess.Popen([sys.executable, tmp_path / "snakemake"], cwd=tmp_path)
    yield other.pid
    other.kill()
    other.wait()


def test_after_a_killed_demo_the_snakemake_of_others_is_respected(
    tmp_path: Path, another_snakemake: int
) -> None:
    leave_as_killed(tmp_path)
    done = run_demo(tmp_path)
    assert (done.returncode, done.stdout) == (
        1,
        f"A Snakemake that this demo did not start runs in this folder (process "
        f"{another_snakemake}). Wait for it, or end it, and type the command again.\n",
    )


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "ended"])
def test_the_lock_is_removed_after_a_killed_demo_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_killed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    calls = stand_in_for_snakemake(monkeypatch, status=1)
    if is_killed:
        leave_as_killed(tmp_path)
    main([])
    assert ["--unlock" in call for call in calls] == ([True, False] if is_killed else [False])


# --- what is said at the end ------------------------------------------------------------------


def stand_in_for_snakemake(monkeypatch: pytest.MonkeyPatch, *, status: int) -> list[list[str]]:
    """Let nothing be run; give the list of what would have been."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr("gram.demo.subprocess.run", run)
    return calls


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://anna:secret@host:5000", "Tracking: see http://host:5000"),
        ("", "Tracking: switched off (MLFLOW_TRACKING_URI is empty)"),
    ],
    ids=["password", "empty"],
)
def test_the_tracking_address_is_said_without_a_password(
    address: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    stand_in_for_snakemake(monkeypatch, status=0)
    (tmp_path / "results/tables").mkdir(parents=True)
    (tmp_path / "results/tables/demo.md").write_text("R@1", encoding="utf-8")
    main([])
    assert capsys.readouterr().out.splitlines()[-1] == said
