"""`make demo` in a folder of its own; the workflow itself is run by tests/demo."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gram.demo import LOCK

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
