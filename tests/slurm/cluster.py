"""A private Slurm on this machine: real daemons, two logical nodes, faked CPUs, memory and GPUs.

All of it stands in one folder, and nothing outside is written. By hand:
`python -m tests.slurm.cluster start FOLDER`, then what that prints; `stop FOLDER` ends it.
"""

import argparse
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import psutil

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
CLIENTS = ("sbatch", "srun", "salloc", "scancel", "scontrol", "sinfo", "squeue")
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
NODES = ("n1", "n2")
CPUS, MEMORY_MB, GPUS = 32, 256_000, 4
"""Of each node; the rules' own resources fit."""

START_SECONDS = 60
IDLE = {"idle", "mixed", "allocated", "completing"}


def missing_programs() -> list[str]:
    """Name the programs of Slurm that this machine has not."""
    return [name for name in PROGRAMS if _find(name) is None]


@dataclass(frozen=True)
class Cluster:
    """A private Slurm in a folder; the path must be short, since sockets stand there."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to talk to this Slurm.

        Jobs lose SLURM_CONF on their way, and keep PATH: its first folder has Slurm's commands
        with the configuration set.
        """
        path = [str(self.folder / "bin"), os.environ["PATH"], *SYSTEM_FOLDERS]
        return {"PATH": os.pathsep.join(path), "SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *arguments: str) -> str:
        """Run one of Slurm's commands; give what it prints.

        Raises:
            subprocess.CalledProcessError: If it fails.
        """
        return subprocess.run(
            arguments,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=START_SECONDS,
        ).stdout.strip()

    def start(self) -> None:
        """Start all daemons that do not run, and wait until every node takes jobs.

        Raises:
            TimeoutError: If they do not; what the daemons wrote is in the message.
        """
        for name in ("munge", "log", "run", "state", "bin", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "munge").chmod(0o711)
        self._start_munge()
        self._configure()
        self._start_daemon("run/slurmctld.pid", "slurmctld", "-f", self._conf)
        for node in NODES:
            self.start_node(node)
        _wait_until(self._is_ready, what=self._account)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node, if it does not run."""
        self._start_daemon(f"run/slurmd.{node}.pid", "slurmd", "-f", self._conf, "-N", node)

    def lose_node(self, node: str) -> None:
        """Kill a node's daemon and all processes of jobs on it, as a loss of power would."""
        daemon = self._process(f"run/slurmd.{node}.pid")
        assert daemon is not None, f"{node} is not there"
        daemon.kill()
        for process in self.processes_of_jobs(node):
            parent = process.parent()
            if parent is not None and parent.name().startswith("slurmstepd"):
                parent.kill()
            process.kill()

    def processes_of_jobs(self, node: str) -> list[psutil.Process]:
        """Find the processes that jobs run on a node."""
        return [one for one in psutil.process_iter() if self._runs_on(one, node)]

    def stop(self) -> None:
        """End all jobs, then all daemons."""
        if self._process("run/slurmctld.pid") is not None:
            self.run("scancel", f"--user={getpass.getuser()}")
            _wait_until(lambda: not self.run("squeue", "--noheader"), what=self._account)
        files = [*(f"run/slurmd.{node}.pid" for node in NODES), "run/slurmctld.pid", "munge/pid"]
        for name in files:
            if (process := self._process(name)) is not None:
                process.terminate()
                try:
                    process.wait(START_SECONDS)
                except psutil.TimeoutExpired:
                    process.kill()

    @property
    def _conf(self) -> str:
        return str(self.folder / "slurm.conf")

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))
        self._start_daemon(
            "munge/pid",
            "munged",
            "--force",
            *(f"--{name}-file={folder / name}" for name in ("key", "pid", "log", "seed")),
            f"--socket={folder / 'socket'}",
        )

    def _configure(self) -> None:
        """Write the configuration, once, and Slurm's commands with it set."""
        if (self.folder / "slurm.conf").exists():
            return
        host, ports = socket.gethostname().split(".")[0], _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} "
            f"RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN"
            for node, port in zip(NODES, ports[1:], strict=True)
        ]
        gpus = ["AutoDetect=off"]
        for node in NODES:
            (self.folder / f"gpus.{node}").mkdir()
            for number in range(GPUS):  # a GPU is a file, and /dev/null is one that is always there
                (self.folder / f"gpus.{node}/gpu{number}").symlink_to("/dev/null")
            file = self.folder / f"gpus.{node}/gpu[0-{GPUS - 1}]"
            gpus.append(f"NodeName={node} Name=gpu File={file}")
        (self.folder / "gres.conf").write_text("\n".join(gpus) + "\n", encoding="utf-8")
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n", encoding="utf-8")
        for name in CLIENTS:
            command = self.folder / "bin" / name
            command.write_text(f'#!/bin/sh\nSLURM_CONF={self._conf} exec {_find(name)} "$@"\n')
            command.chmod(0o755)
        template = Path(__file__).with_name("slurm.conf.template").read_text(encoding="utf-8")
        text = Template(template).substitute(
            folder=self.folder,
            host=host,
            user=getpass.getuser(),
            controller_port=ports[0],
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")

    def _start_daemon(self, pid_file: str, program: str, *arguments: str) -> None:
        """Start a program that goes to the background by itself, unless it runs."""
        if self._process(pid_file) is not None:
            return
        (self.folder / pid_file).unlink(missing_ok=True)
        with (self.folder / "log/start.log").open("ab") as log:
            subprocess.run(
                [str(_find(program)), *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                timeout=START_SECONDS,
            )
        _wait_until(lambda: self._process(pid_file) is not None, what=self._account)

    def _process(self, pid_file: str) -> psutil.Process | None:
        """Find the daemon of a file, if it runs; another one that got its number is not ours."""
        try:
            process = psutil.Process(int((self.folder / pid_file).read_text()))
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            return process if is_alive and self._is_ours(process) else None
        except (FileNotFoundError, ValueError, psutil.Error):
            return None

    def _runs_on(self, process: psutil.Process, node: str) -> bool:
        try:
            variables = process.environ()
        except psutil.Error:
            return False  # it ended just now, or is another user's
        return variables.get("SLURMD_NODENAME") == node and str(self.folder) in variables["PATH"]

    def _is_ours(self, process: psutil.Process) -> bool:
        return str(self.folder) in " ".join([*process.cmdline(), *process.environ().values()])

    def _is_ready(self) -> bool:
        try:
            states = self.run("sinfo", "--noheader", "--Node", "--partition=batch", "--format=%T")
        except subprocess.SubprocessError:
            return False
        return [state in IDLE for state in states.splitlines()] == [True] * len(NODES)

    def _account(self) -> str:
        """Give the last lines of every log."""
        texts = [
            f"{path}:\n" + "\n".join(path.read_text(errors="replace").splitlines()[-5:])
            for path in sorted((self.folder / "log").iterdir())
        ]
        return "\n".join(texts)


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *SYSTEM_FOLDERS]))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_until(is_so: Callable[[], bool], *, what: Callable[[], str]) -> None:
    limit = time.monotonic() + START_SECONDS
    while not is_so():
        if time.monotonic() > limit:
            raise TimeoutError(what())
        time.sleep(0.05)


def main() -> None:
    """Start or stop a private Slurm by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    cluster = Cluster(chosen.folder.absolute())
    if chosen.what == "stop":
        cluster.stop()
        return
    cluster.start()
    for name, value in cluster.environment.items():
        sys.stdout.write(f"export {name}={value}\n")


if __name__ == "__main__":
    main()
