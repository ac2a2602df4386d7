"""MLflow's address: its database, what it raises, and what is said then."""

import logging
import re
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path

from filelock import FileLock

from gram.files import atomic_path

log = logging.getLogger(__name__)

ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
"""Environment: MLflow's address; empty: nothing is tracked."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Environment of MLflow's client: tries of a request beyond the first; seconds of one."""


def default_address() -> str:
    """Give the address of the SQLite file that tracks jobs where the environment names none."""
    return f"sqlite:///{Path('results/mlflow.db').absolute()}"


def without_password(text: str) -> str:
    """Give a text in which no address has a user or a password, to be shown to anyone.

    Example:
        >>> without_password("see http://anna:secret@tracking:5000/")
        'see http://tracking:5000/'
    """
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def make_database(address: str) -> None:
    """Make the database behind a SQLite address if it is not there; others need nothing of ours.

    Processes that open a fresh file at the same time break each other's set-up. So one of them
    makes it, under another name until it is whole, and the others wait.

    Raises:
        subprocess.CalledProcessError: If MLflow cannot set the database up.
    """
    if not is_sqlite(address) or database_of(address).is_file():
        return
    path = database_of(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.is_file():  # made while we waited
            return
        log.info("making the tracking database %s", path)
        with atomic_path(path) as temporary:
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{temporary}"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            log.debug("%s", done.stderr.strip())
            done.check_returncode()


def limit_patience(environment: MutableMapping[str, str]) -> None:
    """Have MLflow's client give up after seconds, where the environment does not say otherwise.

    By itself it tries for four minutes to reach a server, and a job would begin that much later.
    """
    for name, value in PATIENCE.items():
        environment.setdefault(name, value)


def failures() -> tuple[type[Exception], ...]:
    """Give what MLflow raises when it cannot be reached, or its database cannot be used."""
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:  # then nothing of theirs can be raised
        return (OSError,)
    return (MlflowException, SQLAlchemyError, OSError)


def failures_to_open() -> tuple[type[Exception], ...]:
    """Give what may be raised before there is a client."""
    return (*failures(), ImportError, subprocess.CalledProcessError)


def warn(error: Exception, *, address: str) -> None:
    """Say in the log that the job goes on untracked, and what to look at."""
    log.warning(
        "tracking at %s failed, and the job goes on without it (%s: %s). Check that the address "
        "in %s can be reached and its database written, or set it to nothing to track nothing.",
        without_password(address),
        type(error).__name__,
        without_password(str(error)),
        ADDRESS_VARIABLE,
    )


def is_sqlite(address: str) -> bool:
    """Say whether the address is a SQLite file."""
    return address.startswith("sqlite:")


def database_of(address: str) -> Path:
    """Give the file of a SQLite address."""
    return Path(address.removeprefix("sqlite:///").partition("?")[0]).absolute()
