"""A training in the processes that its rule asks for: in this one, or in several by torchrun.

One process a GPU, on one node or several. The processes of several are started by torch's own
launcher, read what to do from a file, and write what ended them into another.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from gram.device import choose_device
from gram.files import write_text
from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training.loop import train
from gram.training.means import Means
from gram.training.preparation import TrainingFiles
from gram.training.stopping import HEARD, STOPPED_EXIT_CODE
from gram.training.time_limit import again_before_time_limit

log = logging.getLogger(__name__)

WORKER = "gram.training.worker"
"""Module that each process runs."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What tells a process its number of threads; Snakemake sets each to that of the rule."""

PORTS = range(20_000, 40_000)
"""Where processes on several nodes meet; the number of the Slurm job chooses."""


class DeadProcessError(OSError):
    """A process of a training died without saying why."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """How many processes train together, and where.

    Attributes:
        count: Number of processes, at least 1.
        gpus: GPUs of all of them: as many as processes, or 0, and they compute on the CPU.
        nodes: Nodes that they are spread over evenly.
        threads: Threads of one of them.
        cpus: CPUs of one node, which its processes share.
    """

    count: int
    gpus: int
    nodes: int
    threads: int
    cpus: int

    def __post_init__(self) -> None:
        """Check that they can be spread."""
        if self.count < 1 or self.nodes < 1 or self.count % self.nodes:
            raise ValueError(
                f"{self.count} processes of a training cannot be spread evenly over {self.nodes} "
                "nodes; set gpu (all nodes together), processes (without GPUs) or nodes of the "
                "rule in the profile's set-resources"
            )

    @classmethod
    def of_rule(cls, resources: Mapping[str, Any], *, threads: int) -> "Processes":
        """Take them from a rule: one a GPU, or ``processes`` where it has no GPU.

        Args:
            resources: ``gpu``, of all nodes together; ``processes``; ``nodes``, 1 where absent;
                ``mpi``, for several nodes, with which Slurm's plugin leaves srun to the rule.
            threads: Threads of the rule on one node, which its processes share.

        Raises:
            ValueError: If the processes cannot be spread, or srun cannot reach the nodes.
        """
        gpus, nodes = int(resources["gpu"]), int(resources.get("nodes", 1))
        count = gpus or int(resources["processes"])
        on_a_node = max(1, count // max(1, nodes))
        spread = cls(
            count=count,
            gpus=gpus,
            nodes=nodes,
            threads=max(1, threads // on_a_node),
            cpus=threads,
        )
        if nodes > 1 and resources.get("mpi") != "srun":
            raise ValueError(
                f"a training on {nodes} nodes starts one launcher on each by srun, and this job "
                f"reaches one of them alone; set `mpi: srun`, `tasks: {nodes}` and "
                "`tasks_per_gpu: 0` beside `nodes` in the profile's set-resources"
            )
        return spread


def run_training(
    settings: TrainSettings,
    files: TrainingFiles,
    resources: Mapping[str, Any],
    *,
    threads: int,
    log_file: Path,
    tracker: Tracker,
) -> None:
    """Train in the processes that a rule's resources ask for; see ``train``.

    Args:
        settings: All that decides the outcome.
        files: What is read and written.
        resources: Of the rule: those of ``Means.of_rule`` and ``Processes.of_rule``, and
            ``spare_seconds``, see ``again_before_time_limit``.
        threads: Threads of the rule.
        log_file: Takes what the processes of several write, after what is there.
        tracker: Takes losses, rates and throughput.

    Raises:
        ValueError: As ``train``; or if the processes cannot be spread over the nodes.
        DeadProcessError: If one of several processes died; the others have been ended then.
    """
    processes = Processes.of_rule(resources, threads=threads)
    with again_before_time_limit(spare_seconds=int(resources["spare_seconds"])):
        if processes.count == 1:
            device = choose_device(processes.gpus)
            means = Means.of_rule(resources, device=device, threads=processes.threads)
            train(settings, files, means, tracker=tracker)
            return
        job = _folder_of_launch(files.checkpoint) / "job.json"
        ended, stop = job.with_name("ended.json"), job.with_name("stop")
        write_job(job, settings, files, resources, processes=processes, tracker=tracker)
        log.info("%d processes on %d nodes", processes.count, processes.nodes)
        code = _wait_for(command(processes, job), processes, stop=stop, log_file=log_file)
        if code != 0:
            _say_why(ended, code=code, log_file=log_file)


def _folder_of_launch(checkpoint: Path) -> Path:
    """Make the folder of what this launch and its processes tell each other.

    Processes of an earlier launch that was killed may live on for a while, and tell theirs. All
    these folders go with the partial checkpoints.
    """
    partial = checkpoint.parent / "partial"
    partial.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="launch-", dir=partial))


def command(
    processes: Processes, job: Path, *, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Give the arguments that start the processes.

    On several nodes srun starts one launcher a node. It gets all numbers again, since the job of
    a workflow sees one node alone; the launchers meet on the first node, where this runs.

    Args:
        processes: How many, and where.
        job: File that tells them what to do.
        environment: Names the Slurm job, for several nodes.

    Raises:
        ValueError: If several nodes are asked for outside of a Slurm job.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    on_a_node = f"--nproc-per-node={processes.count // processes.nodes}"
    worker = ["-m", WORKER, str(job.absolute())]
    if processes.nodes == 1:
        return [*torchrun, "--standalone", on_a_node, *worker]
    number = environment.get("SLURM_JOB_ID")
    if number is None:
        raise ValueError(
            f"a training on {processes.nodes} nodes needs a Slurm job, and SLURM_JOB_ID is not "
            "set; use `--profile slurm`, or set nodes=1 of the rule in the profile"
        )
    nodes, port = processes.nodes, PORTS[int(number) % len(PORTS)]
    srun = [
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={processes.cpus}",
        *([f"--gres=gpu:{processes.gpus // nodes}"] if processes.gpus else []),
        "--kill-on-bad-exit=1",
    ]
    meeting = [
        f"--nnodes={nodes}",
        "--rdzv-backend=c10d",
        f"--rdzv-id={number}",
        f"--rdzv-endpoint={os.uname().nodename}:{port}",
    ]
    return [*srun, *torchrun, *meeting, on_a_node, *worker]


def write_job(
    path: Path,
    settings: TrainSettings,
    files: TrainingFiles,
    resources: Mapping[str, Any],
    *,
    processes: Processes,
    tracker: Tracker,
) -> None:
    """Write what each process is to do."""
    described = {
        "settings": settings.model_dump(mode="json"),
        "files": {
            name: None if value is None else str(value.absolute())
            for name, value in vars(files).items()
        },
        "resources": {name: resources[name] for name in Means.RESOURCES},
        "threads": processes.threads,
        "has_gpus": processes.gpus > 0,
        "tracking": tracker.address_of_run(),
        "launcher": os.getpid() if processes.nodes == 1 else None,
        "stop": str(path.absolute().with_name("stop")),
    }
    write_text(path, json.dumps(described))


def _wait_for(arguments: list[str], processes: Processes, *, stop: Path, log_file: Path) -> int:
    """Start the processes, tell them of signals that end a training, and wait for their end.

    They are told by the file ``stop``: srun and torch's launcher would pass a signal on, and kill
    them before a large state is written.
    """
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(processes.threads))}
    if processes.nodes == 1 and sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")  # whatever the host's name is
    with log_file.open("ab") as output:
        started = subprocess.Popen(
            arguments, env=environment, stdout=output, stderr=subprocess.STDOUT
        )

    def hand_on(number: int, frame: FrameType | None) -> None:
        with suppress(FileNotFoundError):  # the training has ended, and its notes are gone
            stop.touch()

    before = {number: signal.signal(number, hand_on) for number in HEARD}
    try:
        return started.wait()
    except BaseException:
        started.terminate()
        started.wait()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_why(ended: Path, *, code: int, log_file: Path) -> None:
    """Raise what ended the processes, as the one that ended first has noted it."""
    if not ended.is_file():
        raise DeadProcessError(
            "a process of the training died without saying why, as one does that is killed for "
            f"want of memory, and the others were ended (exit code {code}; {log_file} tells which "
            "one it was); run again: the training goes on from its newest partial checkpoint"
        )
    note = json.loads(ended.read_text(encoding="utf-8"))
    if note["is_stopped"]:
        log.warning("%s", note["message"])
        raise SystemExit(STOPPED_EXIT_CODE)
    raise ValueError(note["message"])
