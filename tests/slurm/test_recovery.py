"""What may befall a workflow on Slurm: time limits, want of memory, a lost node, its own end."""

import os
import signal
from collections.abc import Callable

import pytest

from gram.lease import lease_of
from tests.slurm.workflows import SlurmTree
from tests.unit.training.forked import newest_step

pytestmark = pytest.mark.slurm

MakeTree = Callable[[str], SlurmTree]

FOLDER = "results/pretrained/cosine"
TARGET = f"{FOLDER}/last.safetensors"
ENDLESS = {"runs": {"cosine": {"pretrain": {"steps": 1_000_000}}}}
ONE_PROCESS = {"gpu": 0, "mem_mb": 4000}
TERMINATED = 128 + signal.SIGTERM


def test_a_training_outlives_its_time_limit_and_control_c_ends_it(slurm_tree: MakeTree) -> None:
    """No state is kept but the one of the stop, which the next try has to go on from."""
    tree = slurm_tree("late")
    limit = {"runtime": 1, "spare_seconds": 25, "checkpoint_steps": 1_000_000}
    tree.set_profile(set_resources={"pretrain_model": {**ONE_PROCESS, **limit}})
    started = tree.start(TARGET, overlay=ENDLESS)
    log = "pretrain_model/cosine.log"
    started.wait_until(lambda: tree.has_log(log) and "going on after step" in tree.log(log))
    assert "is near: the training saves its state and is started again" in tree.log(log)
    assert started.text().count("has been submitted with SLURM jobid") == 1
    assert "Error in rule" not in started.text()
    started.process.send_signal(signal.SIGINT)
    assert started.wait() != 0
    tree.wait_for_jobs(0)


def test_a_job_that_needs_more_memory_gets_it_with_the_next_try(slurm_tree: MakeTree) -> None:
    tree = slurm_tree("hungry")
    table = tree.folder / "results/vocabulary/dots/pretrain.txt"
    before = table.read_bytes()
    table.unlink()
    memory = {"learn_vocabulary": {"mem_mb": "150 + 2000 * (attempt - 1)"}}
    tree.set_profile(set_resources=memory)
    started = tree.start(str(table.relative_to(tree.folder)))
    assert started.wait() == 0, started.text()
    assert started.text().count("has been submitted with SLURM jobid") == 2
    assert table.read_bytes() == before


def test_a_workflow_that_was_killed_leaves_jobs_that_keep_a_second_one_out(
    slurm_tree: MakeTree,
) -> None:
    tree = slurm_tree("killed")
    tree.set_profile(set_resources={"pretrain_model": {**ONE_PROCESS, "checkpoint_steps": 5}})
    started = tree.start(TARGET, overlay=ENDLESS)
    started.wait_until(lambda: newest_step(tree.folder / FOLDER) > 0)
    second = tree.start(TARGET, overlay=ENDLESS)
    assert second.wait() == 1
    assert "Directory cannot be locked" in second.text()
    os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()
    (job,) = tree.jobs()
    assert tree.start("--unlock").wait() == 0
    third = tree.start(TARGET, overlay=ENDLESS)
    assert third.wait() == 1
    said = f"{TARGET} is being made by Slurm job {job} on "
    assert said in third.text()
    assert f"wait until it is done, or end it (scancel {job}), then start again" in third.text()
    assert tree.jobs() == [job]
    tree.cluster.run("scancel", job)
    tree.wait_for_jobs(0)
    short = {"runs": {"cosine": {"pretrain": {"steps": 10}}}}
    last = tree.start(TARGET, overlay=short)
    assert last.wait() == 0, last.text()
    assert not lease_of(tree.folder / TARGET).exists()


def test_a_training_outlives_the_loss_of_a_node(slurm_tree: MakeTree) -> None:
    tree = slurm_tree("lost")
    two_nodes = {"processes": 2, "nodes": 2, "tasks": 2, "mpi": "srun", "checkpoint_steps": 1}
    tree.set_profile(
        set_resources={"pretrain_model": {**ONE_PROCESS, **two_nodes}},
        set_threads={"pretrain_model": 1},
    )
    started = tree.start(TARGET, overlay={"runs": {"cosine": {"pretrain": {"steps": 12}}}})
    started.wait_until(lambda: newest_step(tree.folder / FOLDER) >= 2)
    tree.cluster.lose_node("n2")
    state = ("sinfo", "--noheader", "--partition=batch", "--nodes=n2", "--format=%T")
    started.wait_until(lambda: "down" in tree.cluster.run(*state))
    tree.cluster.start_node("n2")
    assert started.wait() == 0, started.text()
    assert "going on after step" in tree.log("pretrain_model/cosine.log")
    steps = (tree.folder / FOLDER / "history.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [int(row.split(",")[0]) for row in steps] == list(range(1, 13))
