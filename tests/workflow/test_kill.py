"""A workflow that is killed again and again, with all its jobs, and started by the same command.

The kills come when files tell that a stage has begun, not after fixed times.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

TINY = "tests/workflow/tiny.yaml"
TABLES = ("csv", "md", "tex")
LIMIT_SECONDS = 300

MOMENTS = {
    "generating": "results/generated/dots/media/*.mp4",
    "extracting": "logs/extract_clips/*/*.log",
    "packing": "logs/pack_shards/*/*.log",
    "pretraining": "results/pretrained/*/partial/*.step*.pt",
    "embedding": "logs/embed_benchmark/*/*/*.log",
}
"""What begins at each moment, in order, and the first file that tells so."""


@pytest.fixture(scope="module")
def killed(new_tree: Callable[[], Path]) -> tuple[Path, Mapping[str, bool]]:
    """Give a tree whose workflow was killed at every moment and then ended, and what was cut off.

    For each moment it says whether jobs were running when the kill came.
    """
    tree = new_tree()
    profile = tree / "profiles/demo/config.yaml"
    settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    profile.write_text(yaml.safe_dump({**settings, "configfile": TINY}), encoding="utf-8")
    were_busy = {moment: _kill_at(tree, signs) for moment, signs in MOMENTS.items()}
    last = _start(tree)
    assert last.wait(LIMIT_SECONDS) == 0, (tree / "output.txt").read_text(encoding="utf-8")
    return tree, were_busy


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_jobs_are_running_when_the_kill_comes(
    moment: str, killed: tuple[Path, Mapping[str, bool]]
) -> None:
    assert killed[1][moment]


@pytest.mark.parametrize("kind", TABLES)
def test_the_tables_are_those_of_an_undisturbed_run(
    kind: str, killed: tuple[Path, Mapping[str, bool]], finished_tree: Path
) -> None:
    table = f"results/tables/demo.{kind}"
    assert (killed[0] / table).read_bytes() == (finished_tree / table).read_bytes()


def test_nothing_is_left_to_do_after_the_kills(
    killed: tuple[Path, Mapping[str, bool]], planned_rules: Callable[..., dict[str, int]]
) -> None:
    assert planned_rules(killed[0]) == {}


def test_no_half_written_file_is_left_after_the_kills(
    killed: tuple[Path, Mapping[str, bool]], finished_tree: Path
) -> None:
    assert results_of(killed[0]) == results_of(finished_tree)


def results_of(tree: Path) -> set[str]:
    """Name all files of the results but the demo's own lock."""
    files = (path for path in (tree / "results").rglob("*") if path.is_file())
    names = {str(path.relative_to(tree)) for path in files}
    assert names
    return names - {"results/demo.lock"}


def _start(tree: Path) -> subprocess.Popen[bytes]:
    """Start the demo command in a session of its own."""
    with (tree / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "gram.demo"],
            cwd=tree,
            env={**os.environ, "MLFLOW_TRACKING_URI": ""},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _kill_at(tree: Path, signs: str) -> bool:
    """Run until a file of the pattern is there, then kill all; say whether jobs were running."""
    for path in tree.glob(signs):
        path.unlink()
    process = _start(tree)
    try:
        limit = time.monotonic() + LIMIT_SECONDS
        while not any(tree.glob(signs)):
            text = (tree / "output.txt").read_text(encoding="utf-8")
            assert process.poll() is None, text
            assert time.monotonic() < limit, text
            time.sleep(0.005)
    finally:
        num_killed = _kill_session(process.pid)
        process.wait()
    return num_killed > 2  # more than the demo and Snakemake


def _kill_session(session: int) -> int:
    """Kill every process of a session, also those in groups of their own; count them."""
    killed = set()
    while alive := _session_members(session):
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
        killed |= set(alive)
        time.sleep(0.01)
    return len(killed)


def _session_members(session: int) -> list[int]:
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended just now
        state, own_session = fields[0], int(fields[3])
        if own_session == session and state not in "ZX":
            members.append(int(stat.parent.name))
    return members
