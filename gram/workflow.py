"""Bridge from a Snakemake job to the functions that do the work. Nothing in gram imports it."""

import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pydantic import ValidationError

from gram.config import Section, describe_problems
from gram.jobs import flat_settings
from gram.lease import TakenError, account_of, held, living_holders
from gram.rule_graph import RuleGraph, read_graph, with_finished, write_graph
from gram.tracking import ADDRESS_VARIABLE, JobIdentity, finish_invocation, tracked_job
from gram.versions import commit, versions

if TYPE_CHECKING:
    from snakemake.dag import DAG
    from snakemake.iocontainers import Snakemake

    from gram.tracking import Tracker

    snakemake: Snakemake

log = logging.getLogger(__name__)

TRACKING_FOLDER = Path("results/tracking")
"""Where the run ids of the workflow's starts are kept."""

INVOCATION_VARIABLE = "GRAM_INVOCATION"
"""Environment: the name of this start of the workflow."""

RULES_FILE = Path("results/rules.json")
"""Where a start of the workflow that makes the report writes down its rules."""

Settings = TypeVar("Settings", bound=Section)


@contextmanager
def job(snakemake: "Snakemake", settings: type[Settings]) -> Iterator[Settings]:
    """Run the body of a script as a job: log file, lease, typed settings, errors one can read.

    The log begins with commit, settings and versions, and goes on below what earlier tries of the
    job left there, although Snakemake removes the log of a try before the next one. An error is
    written to the log with its traceback; the terminal gets one message and the path of the log,
    and nothing when the user ended the job. SIGTERM ends the body as an exception would, so that
    whatever is open is closed.

    Args:
        snakemake: Snakemake's object of the script.
        settings: Class of the sections that the rule names in ``params.settings``.
    """
    _log_to(Path(snakemake.log[0]))
    signal.signal(signal.SIGTERM, _terminate)
    text = snakemake.params.settings
    log.info("rule %s, stage version %s", snakemake.rule, snakemake.params.version)
    log.info("commit %s, versions %s", commit(), versions("gram", "snakemake"))
    log.info("settings %s", text)
    try:
        with held(Path(snakemake.output[0])) if snakemake.output else nullcontext():
            yield settings.model_validate_json(text)
    except (ValueError, OSError) as error:
        log.exception("the job failed")
        said = describe_problems(error) if isinstance(error, ValidationError) else error
        name = _job_name(snakemake)
        raise SystemExit(f"{name}: {said}\nThe whole log: {snakemake.log[0]}") from None
    except KeyboardInterrupt:
        log.info("ended by the user")
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception:
        log.exception("the job failed")
        raise
    log.info("done")
    _kept(Path(snakemake.log[0])).unlink(missing_ok=True)


@contextmanager
def tracked(snakemake: "Snakemake") -> Iterator["Tracker"]:
    """Open this job's run in MLflow, if the environment names an address."""
    identity = JobIdentity(
        key=_job_name(snakemake),
        settings=snakemake.params.settings,
        params=flat_settings(snakemake.params.settings),
        tags={
            "gram.rule": snakemake.rule,
            "gram.stage_version": str(snakemake.params.version),
            "mlflow.source.git.commit": commit(),
            **{f"gram.{key}": str(value) for key, value in snakemake.wildcards.items()},
        },
    )
    with tracked_job(
        identity,
        address=os.environ.get(ADDRESS_VARIABLE, ""),
        invocation=os.environ.get(INVOCATION_VARIABLE, "single_jobs"),
        folder=TRACKING_FOLDER,
        unsent=_unsent(Path(snakemake.output[0])),
    ) as tracker:
        yield tracker


def paths(files: Sequence[str]) -> list[Path]:
    """Give the files of an input or output as paths."""
    return [Path(one) for one in files]


def write_rules(dag: "DAG", *, if_made_by: str) -> None:
    """Write down the rules of this start and which reads the files of which, for the report.

    Rules without outputs, which only ask for others, are left out.

    Args:
        dag: All jobs that this start looked at, those that need not run among them.
        if_made_by: Nothing is written unless a job of this rule is among them.
    """
    jobs = [one for one in dag.jobs if one.output]
    if not any(one.rule.name == if_made_by for one in jobs):
        return
    edges = {
        (before.rule.name, after.rule.name)
        for after in jobs
        for before in dag.dependencies[after]
        if before.rule.name != after.rule.name  # a run that starts from another
    }
    now = RuleGraph(jobs=Counter(one.rule.name for one in jobs), edges=sorted(edges))
    if RULES_FILE.is_file():
        checkpoints = {rule.name for rule in dag.workflow.rules if rule.is_checkpoint}
        now = with_finished(now, read_graph(RULES_FILE), checkpoints=checkpoints)
    write_graph(now, RULES_FILE)


def optional_path(files: Sequence[str]) -> Path | None:
    """Give the one file of an input that may be empty, or None."""
    return Path(files[0]) if files else None


def refuse_second_start(outputs: Iterable[str]) -> None:
    """See that no job of an earlier start of the workflow still makes an output of this one.

    Args:
        outputs: First output of each job that is going to run.

    Raises:
        TakenError: If one does.
    """
    if holders := living_holders(Path(output) for output in outputs):
        raise TakenError(account_of(holders))


def finish_workflow(*, is_good: bool) -> None:
    """Close the parent run of this start of the workflow, if one was opened."""
    finish_invocation(
        address=os.environ.get(ADDRESS_VARIABLE, ""),
        invocation=os.environ.get(INVOCATION_VARIABLE, "single_jobs"),
        folder=TRACKING_FOLDER,
        status="FINISHED" if is_good else "FAILED",
    )


def _job_name(snakemake: "Snakemake") -> str:
    """Name a job by its rule and wildcards, in the order of its log's path."""
    return " ".join([snakemake.rule, *(str(value) for _, value in snakemake.wildcards.items())])


def _log_to(path: Path) -> None:
    """Send all records to the end of a file; messages of other packages from warnings on.

    The file has a second name until the job is done, under which the next try finds it.
    """
    kept = _kept(path)
    with suppress(OSError):  # a file system without second names keeps no log of a failed try
        if kept.is_file() and not path.exists():
            path.hardlink_to(kept)
    is_another_try = path.is_file() and path.stat().st_size > 0
    handler = logging.FileHandler(path, mode="a", encoding="utf-8")
    with suppress(OSError):
        kept.unlink(missing_ok=True)
        kept.hardlink_to(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("gram").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    if is_another_try:
        log.info("%s another try; what stands above is of earlier ones %s", "=" * 20, "=" * 20)


def _kept(path: Path) -> Path:
    """Name the second name of a log."""
    return path.with_name(f"{path.name}.kept")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _unsent(output: Path) -> Path:
    """Name the file, beside a job's output, for numbers that MLflow does not take."""
    return output.with_name(f"{output.stem}.unsent.jsonl")
