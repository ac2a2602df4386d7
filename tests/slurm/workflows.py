"""A tree in which the tiny workflow runs by `snakemake --profile slurm`, on a private Slurm."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.slurm.cluster import Cluster
from tests.workflow.conftest import ENVIRONMENT, TINY

LIMIT_SECONDS = 900
QUICK = "--slurm-init-seconds-before-status-checks=2"
"""Tests ask Slurm sooner than its plugin does by itself."""


@dataclass(frozen=True)
class SlurmTree:
    """A copy of the project, with its profile for Slurm, which a test may change as users do."""

    folder: Path
    cluster: Cluster

    def set_profile(self, **sections: Any) -> None:  # noqa: ANN401 - any part of a profile
        """Change entries of sections of the profile; of a rule's resources, those named alone."""
        path = self.folder / "profiles/slurm/config.yaml"
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section, entries in sections.items():
            profile[section.replace("_", "-")] = _merged(
                profile.get(section.replace("_", "-"), {}), entries
            )
        path.write_text(yaml.safe_dump(profile), encoding="utf-8")

    def start(self, *arguments: str, overlay: dict[str, Any] | None = None) -> "Started":
        """Start the workflow by the profile; it goes on in the background."""
        settings = self.folder / "overlay.yaml"
        settings.write_text(yaml.safe_dump(overlay or {}), encoding="utf-8")
        output = self.folder / "output.txt"
        with output.open("ab") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "snakemake", "--profile", "slurm", QUICK),
                    *(*arguments, "--configfile", TINY, settings.name),
                ],
                cwd=self.folder,
                env={
                    **os.environ,
                    **ENVIRONMENT,
                    **self.cluster.environment,
                    "PYTHONPATH": str(self.folder),
                },
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Started(self, process, output)

    def jobs(self) -> list[str]:
        """Give the numbers of this workflow's jobs that wait or run."""
        lines = self.cluster.run("squeue", "--noheader", "--format=%i %Z").splitlines()
        of_folders = [line.split(maxsplit=1) for line in lines]
        return [number for number, folder in of_folders if Path(folder) == self.folder]

    def wait_for_jobs(self, count: int) -> None:
        """Wait until so many of this workflow's jobs wait or run."""
        limit = time.monotonic() + LIMIT_SECONDS
        while len(self.jobs()) != count:
            assert time.monotonic() < limit, self.jobs()
            time.sleep(0.1)

    def has_log(self, name: str) -> bool:
        """Say whether a log below logs/ has been begun."""
        return (self.folder / "logs" / name).is_file()

    def log(self, name: str) -> str:
        """Read a log below logs/."""
        return (self.folder / "logs" / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Started:
    """A Snakemake that was started."""

    tree: SlurmTree
    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        """Give what it wrote so far."""
        return self.output.read_text(encoding="utf-8")

    def wait(self) -> int:
        """Wait for its end; give its exit status."""
        try:
            return self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(self.text()) from None

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something has come about, while Snakemake runs."""
        limit = time.monotonic() + LIMIT_SECONDS
        while not is_so():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < limit, self.text()
            time.sleep(0.05)


def workers_of(tree: SlurmTree, rank: int) -> list[psutil.Process]:
    """Find the process of a rank of the trainings in a tree."""
    found = []
    for process in psutil.process_iter():
        try:
            words, variables = process.cmdline(), process.environ()
        except psutil.Error:
            continue  # it ended just now, or is another user's
        is_worker = "gram.training.worker" in words and str(tree.folder) in words[-1]
        if is_worker and variables.get("RANK") == str(rank):
            found.append(process)
    return found


def _merged(old: Any, new: Any) -> Any:  # noqa: ANN401 - any part of a profile
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
