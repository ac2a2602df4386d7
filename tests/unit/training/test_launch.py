"""Trainings in several processes: how they are started, that they agree, and how they end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training.launch import DeadProcessError, Processes, command, run_training
from gram.training.preparation import TrainingFiles
from gram.training.stopping import STOPPED_EXIT_CODE
from gram.types import Modality
from tests.unit.training.forked import exit_codes, newest_step, started, started_ranks

MakeSettings = Callable[..., TrainSettings]
Train = Callable[..., Path]
Weights = Callable[[Path], dict[str, torch.Tensor]]
Compare = Callable[[Path, Path], bool]

RESOURCES = {
    "gpu": 0,
    "processes": 2,
    "cache_mib": 0,
    "checkpoint_steps": 1,
    "spare_seconds": 300,
    "micro_batch": 0,
    "checkpoint_activations": 0,
    "compile": 0,
    "shard_model": 0,
    "track_checkpoint": 0,
    "register_model": 0,
}
STEPS = 20
LIMIT_SECONDS = 120


def spread(resources: dict[str, Any], *, threads: int = 8) -> Processes:
    return Processes.of_rule({"gpu": 0, "processes": 1, **resources}, threads=threads)


# --- how they are started ---------------------------------------------------------------------


def test_there_is_one_process_a_gpu() -> None:
    assert spread({"gpu": 4}) == Processes(count=4, gpus=4, nodes=1, threads=2, cpus=8)


def test_without_a_gpu_the_rule_says_how_many() -> None:
    assert spread({"processes": 2}) == Processes(count=2, gpus=0, nodes=1, threads=4, cpus=8)


def test_a_process_has_one_thread_at_least() -> None:
    assert spread({"processes": 4}, threads=2).threads == 1


def test_processes_that_cannot_be_spread_are_refused() -> None:
    with pytest.raises(
        ValueError, match="4 processes of a training cannot be spread evenly over 3"
    ):
        spread({"gpu": 4, "nodes": 3})


def test_on_one_node_torchrun_starts_all() -> None:
    arguments = command(spread({"gpu": 4}), Path("/jobs/job.json"))
    assert arguments[1:] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=4",
        "-m",
        "gram.training.worker",
        "/jobs/job.json",
    ]


def test_on_several_nodes_srun_starts_a_launcher_on_each() -> None:
    processes = spread({"gpu": 8, "nodes": 2, "mpi": "srun"}, threads=16)
    arguments = command(processes, Path("/job.json"), environment={"SLURM_JOB_ID": "1234567"})
    assert arguments[:7] == [
        "srun",
        "--nodes=2",
        "--ntasks=2",
        "--ntasks-per-node=1",
        "--cpus-per-task=16",
        "--gres=gpu:4",
        "--kill-on-bad-exit=1",
    ]
    assert arguments[10:15] == [
        "--nnodes=2",
        "--rdzv-backend=c10d",
        "--rdzv-id=1234567",
        f"--rdzv-endpoint={os.uname().nodename}:34567",
        "--nproc-per-node=4",
    ]


def test_several_nodes_need_a_slurm_job() -> None:
    processes = spread({"gpu": 2, "nodes": 2, "mpi": "srun"})
    with pytest.raises(ValueError, match="a training on 2 nodes needs a Slurm job, and SLURM_JOB"):
        command(processes, Path("job.json"), environment={})


def test_several_nodes_need_a_rule_that_calls_srun_itself() -> None:
    with pytest.raises(ValueError, match="set `mpi: srun`, `tasks: 2` and `tasks_per_gpu: 0`"):
        spread({"gpu": 2, "nodes": 2})


# --- what they come to ------------------------------------------------------------------------


@pytest.fixture
def settings(make_settings: MakeSettings) -> TrainSettings:
    modalities = (Modality.AUDIO, Modality.SUBTITLE)
    return make_settings(modalities=modalities, steps=STEPS, batch_size=6, dropout=0.0)


@pytest.fixture
def run_two(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Give a function that trains in two processes and gives the folder of what was written."""
    root = str(Path(__file__).parents[3])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))

    def train_in(settings: TrainSettings, *, folder: str = "two", **resources: int) -> Path:
        files = TrainingFiles(
            index=shards / "index.parquet",
            vocabulary=shards / "vocab.txt",
            start=None,
            checkpoint=tmp_path / folder / "last.safetensors",
        )
        run_training(
            settings,
            files,
            {**RESOURCES, **resources},
            threads=2,
            log_file=tmp_path / "log.txt",
            tracker=Tracker(),
        )
        return tmp_path / folder

    yield train_in
    assert [one for one in psutil.Process().children(recursive=True) if is_worker(one)] == []


def is_worker(process: psutil.Process) -> bool:
    return "gram.training.worker" in process.cmdline() and "RANK" in process.environ()


def when_step(tmp_path: Path, step: int, act: Callable[[], None]) -> threading.Thread:
    """Act when the state of a step, or of a later one, has been kept."""

    def wait() -> None:
        limit = time.monotonic() + LIMIT_SECONDS
        while newest_step(tmp_path / "two") < step:
            assert time.monotonic() < limit
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def kill_a_rank() -> None:
    for process in psutil.Process().children(recursive=True):
        if is_worker(process) and process.environ()["RANK"] == "1":
            process.kill()


def test_whatever_happens_to_two_processes_they_end_as_undisturbed_ones(
    run: Train, run_two: Train, settings: TrainSettings, tmp_path: Path, are_equal: Compare
) -> None:
    """Ended by a signal, then by the death of a rank, the training ends as an undisturbed one."""
    asker = when_step(tmp_path, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as stopped:
        run_two(settings)
    asker.join()
    assert stopped.value.code == STOPPED_EXIT_CODE
    killer = when_step(tmp_path, 11, kill_a_rank)
    with pytest.raises(DeadProcessError, match=r"died without saying why, .* run again: the train"):
        run_two(settings)
    killer.join()
    disturbed = run_two(settings)
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert text.count("going on after step") == 2
    names = {path.name for path in disturbed.iterdir()}
    assert names == {"history.csv", "last.json", "last.safetensors"}
    processes = started_ranks(lambda: run(settings, folder="undisturbed"), tmp_path / "meeting")
    assert exit_codes(processes) == [0, 0]
    assert are_equal(disturbed, tmp_path / "undisturbed")


def test_processes_whose_launching_job_is_killed_end_too(
    run_two: Train, make_settings: MakeSettings, tmp_path: Path
) -> None:
    job = started(lambda: run_two(make_settings(steps=100_000, batch_size=6)))
    when_step(tmp_path, 2, job.kill).join()
    assert exit_codes([job]) == [-signal.SIGKILL]
    mine = str(tmp_path / "two/partial/launch-")
    limit = time.monotonic() + LIMIT_SECONDS
    while any(
        mine in " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])
    ):
        assert time.monotonic() < limit
        time.sleep(0.05)
    said = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "ended by SIGTERM after step" in said


def test_what_a_process_says_of_its_end_is_said_again(
    run_two: Train, make_settings: MakeSettings
) -> None:
    with pytest.raises(ValueError, match="a batch of 5 clips cannot be shared evenly by 2 process"):
        run_two(make_settings(batch_size=5))
