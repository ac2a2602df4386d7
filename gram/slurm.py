"""The Slurm job that this process runs in, if any: its number, when it ends, a new start of it.

Slurm's commands are asked; outside of a job none of them is needed.
"""

import logging
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime

log = logging.getLogger(__name__)

ANSWER_SECONDS = 60.0
"""How long a busy controller may take."""

GONE = "Invalid job id"
"""What squeue says of a job that Slurm no longer knows."""


class SlurmError(OSError):
    """A command of Slurm is absent, failed, or did not answer in time."""


def own_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """Give the number of the job that this process is a part of; None: it is in none."""
    return environment.get("SLURM_JOB_ID")


def end_of_job(number: str) -> datetime | None:
    """Ask when a running job's time limit ends it, local time; None: it has no limit.

    Raises:
        SlurmError: If Slurm does not answer.
    """
    answer = ask("squeue", "--noheader", f"--jobs={number}", "--format=%e")
    try:
        return datetime.fromisoformat(answer)
    except ValueError:
        return None  # "N/A", "NONE", or nothing


def is_active(number: str) -> bool:
    """Ask whether a job waits, runs, or is just ending.

    Raises:
        SlurmError: If Slurm does not answer.
    """
    try:
        return bool(ask("squeue", "--noheader", f"--jobs={number}", "--format=%T"))
    except SlurmError as error:
        if GONE in str(error):
            return False
        raise


def requeue(number: str) -> None:
    """Have Slurm end a job and start it again under the same number.

    Raises:
        SlurmError: If Slurm refuses, as where jobs may not be requeued.
    """
    ask("scontrol", "requeue", number)


def ask(*arguments: str, seconds: float = ANSWER_SECONDS) -> str:
    """Run one of Slurm's commands; give what it writes, without the last line's end.

    Raises:
        SlurmError: If it is not there, fails, or takes longer than some seconds.
    """
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, check=True, timeout=seconds
        )
    except subprocess.CalledProcessError as error:
        raise SlurmError(f"{' '.join(arguments)}: {error.stderr.strip()}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{' '.join(arguments)}: {error}") from None
    return done.stdout.strip()
