"""The bridge from a Snakemake job: its log, its settings, its errors, its end by a signal."""

import logging
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gram.config import ExtractionConfig
from gram.jobs import ExtractSettings, NoSettings
from gram.tracking import JobIdentity, Tracker
from gram.workflow import commit, finish_workflow, job, tracked

ROOT = Path(__file__).parents[2]

SETTINGS = ExtractSettings(extraction=ExtractionConfig(frames_per_clip=7)).model_dump_json()


class Wildcards(dict[str, str]):
    """Wildcards as Snakemake gives them: going through them gives their values."""

    def __iter__(self) -> Iterator[str]:
        """Give the values."""
        return iter(self.values())


@dataclass
class StandIn:
    """What a script sees of Snakemake."""

    log: list[str]
    output: list[str]
    params: SimpleNamespace
    wildcards: Wildcards
    rule: str


@pytest.fixture
def calm() -> Iterator[None]:
    """Put back what a job changes for its process: logging, warnings, the signal."""
    root, ours = logging.getLogger(), logging.getLogger("gram")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    for added in set(root.handlers) - set(handlers):
        added.close()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(capture=False)
    signal.signal(signal.SIGTERM, handler)


pytestmark = pytest.mark.usefixtures("calm")


def stand_in(
    folder: Path, *, settings: str = SETTINGS, wildcards: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401 - it stands in for Snakemake's object
    return StandIn(
        log=[str(folder / "job.log")],
        output=[str(folder / "result.json")],
        params=SimpleNamespace(settings=settings, version=3),
        wildcards=Wildcards(wildcards or {"dataset": "toys", "chunk": "0001"}),
        rule="extract_clips",
    )


def run(folder: Path, *, error: BaseException | None = None, **given: Any) -> str:  # noqa: ANN401
    """Run a job that logs, or that fails; give what it raised last, as text."""
    try:
        with job(stand_in(folder, **given), ExtractSettings):
            if error is not None:
                raise error
    except SystemExit as end:
        return str(end)
    return ""


def log_of(folder: Path) -> str:
    return (folder / "job.log").read_text(encoding="utf-8")


def test_the_settings_are_typed(tmp_path: Path) -> None:
    with job(stand_in(tmp_path), ExtractSettings) as settings:
        assert settings.extraction.frames_per_clip == 7


def test_the_log_begins_with_rule_version_commit_and_settings(tmp_path: Path) -> None:
    run(tmp_path)
    first, second, third = log_of(tmp_path).splitlines()[:3]
    assert first.endswith("rule extract_clips, stage version 3")
    assert f"commit {commit()}, versions" in second
    assert third.endswith(f"settings {SETTINGS}")


def test_the_log_ends_with_done(tmp_path: Path) -> None:
    run(tmp_path)
    assert log_of(tmp_path).splitlines()[-1].endswith("done")


def test_every_line_has_its_time_and_level(tmp_path: Path) -> None:
    run(tmp_path)
    assert all(" INFO gram.workflow: " in line for line in log_of(tmp_path).splitlines())


@pytest.mark.parametrize(
    "error",
    [ValueError("no clip is left; look at the manifest"), OSError("the disk is full")],
    ids=["value", "system"],
)
def test_the_terminal_gets_the_job_the_message_and_the_path_of_the_log(
    tmp_path: Path, error: Exception
) -> None:
    assert run(tmp_path, error=error) == (
        f"extract_clips toys 0001: {error}\nThe whole log: {tmp_path / 'job.log'}"
    )


def test_another_try_keeps_the_log_of_the_one_before(tmp_path: Path) -> None:
    run(tmp_path, error=ValueError("no clip is left"))
    run(tmp_path)
    first, second = log_of(tmp_path).split("another try; what stands above is of earlier ones")
    assert "ValueError: no clip is left" in first
    assert "gram.workflow: done" in second


def test_another_try_finds_the_log_that_snakemake_has_removed(tmp_path: Path) -> None:
    run(tmp_path, error=ValueError("no clip is left"))
    (tmp_path / "job.log").unlink()
    run(tmp_path)
    assert "ValueError: no clip is left" in log_of(tmp_path)


def test_a_log_has_one_name_when_the_job_is_done(tmp_path: Path) -> None:
    run(tmp_path)
    assert [path.name for path in tmp_path.glob("job.log*")] == ["job.log"]


def test_a_first_try_is_not_called_another(tmp_path: Path) -> None:
    run(tmp_path)
    assert "another try" not in log_of(tmp_path)


def test_a_job_that_the_user_ends_has_no_traceback(tmp_path: Path) -> None:
    assert run(tmp_path, error=KeyboardInterrupt()) == "130"
    assert "Traceback" not in log_of(tmp_path)


def test_a_run_is_named_as_the_job_in_its_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []

    @contextmanager
    def note(identity: JobIdentity, **_: object) -> Iterator[Tracker]:
        keys.append(identity.key)
        yield Tracker()

    monkeypatch.setattr("gram.workflow.tracked_job", note)
    with tracked(stand_in(tmp_path)):
        pass
    assert run(tmp_path, error=ValueError("no clip is left")).startswith(f"{keys[0]}: ")


def test_the_log_has_the_traceback(tmp_path: Path) -> None:
    run(tmp_path, error=ValueError("no clip is left"))
    assert "Traceback (most recent call last)" in log_of(tmp_path)
    assert "ValueError: no clip is left" in log_of(tmp_path)


def test_a_failed_job_is_not_done(tmp_path: Path) -> None:
    run(tmp_path, error=ValueError("no clip is left"))
    assert "gram.workflow: done" not in log_of(tmp_path)


def test_an_error_of_ours_goes_up_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, error=ZeroDivisionError("a bug"))
    assert "ZeroDivisionError: a bug" in log_of(tmp_path)


def test_a_job_without_wildcards_is_named_by_its_rule(tmp_path: Path) -> None:
    given = stand_in(tmp_path)
    given.wildcards = Wildcards()
    with (
        pytest.raises(SystemExit, match=r"^extract_clips: no clip is left\n"),
        job(given, ExtractSettings),
    ):
        raise ValueError("no clip is left")


def test_settings_that_do_not_fit_are_an_error_of_the_job(tmp_path: Path) -> None:
    message = run(tmp_path, settings='{"extractoin": {}}')
    assert message.startswith("extract_clips toys 0001: ")
    assert "extractoin: there is no such setting" in message
    assert "pydantic" not in message


def test_a_job_may_have_no_settings(tmp_path: Path) -> None:
    with job(stand_in(tmp_path, settings="{}"), NoSettings) as settings:
        assert settings == NoSettings()


def test_the_log_has_our_messages_and_warnings_of_others(tmp_path: Path) -> None:
    with job(stand_in(tmp_path), ExtractSettings):
        logging.getLogger("gram.data").info("ours")
        logging.getLogger("others").info("theirs")
        logging.getLogger("others").warning("their warning")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("a python warning", stacklevel=1)
    log = log_of(tmp_path)
    told = [text in log for text in ("ours", "theirs", "their warning", "a python warning")]
    assert told == [True, False, True, True]


def test_a_job_writes_nothing_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path)
    assert capfd.readouterr() == ("", "")


TERMINATED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from gram.files import atomic_path
from gram.jobs import NoSettings
from gram.workflow import job

folder = Path(sys.argv[1])
given = SimpleNamespace(
    log=[str(folder / "job.log")],
    output=[str(folder / "clips.parquet")],
    params=SimpleNamespace(settings="{}", version=1),
    wildcards={},
    rule="make_clips",
)
with job(given, NoSettings), atomic_path(folder / "clips.parquet") as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""


def test_a_job_that_is_terminated_closes_what_is_open(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TERMINATED, tmp_path], cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert {path.name for path in tmp_path.iterdir()} == {"job.log", "job.log.kept"}


# --- the commit -------------------------------------------------------------------------------


def test_the_commit_is_that_of_the_code() -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if head.returncode:
        pytest.skip("this is no git checkout")
    assert commit().removesuffix("-changed") == head.stdout.strip()


def test_code_outside_of_git_has_no_commit(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gram", tmp_path / "gram", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", "from gram.workflow import commit; print(commit())"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "unknown: not a git checkout"


# --- tracking ---------------------------------------------------------------------------------


def test_a_job_without_an_address_is_not_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with tracked(stand_in(tmp_path)) as tracker:
        assert tracker.address_of_run() is None
    assert list(tmp_path.iterdir()) == []


def test_a_workflow_without_an_address_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    finish_workflow(is_good=True)
    assert list(tmp_path.iterdir()) == []
