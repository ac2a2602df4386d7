"""Trainings on two nodes, and what comes over them: the weights are those of a calm one.

The trainings run side by side, each in a tree of its own, since most of the time they wait.
"""

import csv
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.slurm.cluster import CPUS
from tests.slurm.workflows import SlurmTree, Started, workers_of
from tests.unit.training.forked import newest_step

pytestmark = pytest.mark.slurm

Done = subprocess.CompletedProcess[str]
Case = Callable[[SlurmTree], Started]

FOLDER = "results/pretrained/cosine"
TARGET = f"{FOLDER}/last.safetensors"
STEPS, EVENT_STEP = 8, 2
OVERLAY = {"runs": {"cosine": {"pretrain": {"steps": STEPS}}}}
TWO_BY_TWO = {"processes": 4, "nodes": 2, "tasks": 2, "mpi": "srun", "checkpoint_steps": 1}
AT_ONCE = 2
CPUS_OF_PREEMPTED = 3
"""On each node; the other training has one, and no part in this. Both have one thread a process,
or their weights would differ in the last bits."""

TOLERANCE = 1e-5
"""Of losses and weights of four processes on two nodes beside one process; docs/training.md."""


def calm(tree: SlurmTree) -> Started:
    """Train without any disturbance."""
    return begun(tree)


def requeued(tree: SlurmTree) -> Started:
    """An administrator requeues the job."""
    started = at_work(tree)
    tree.cluster.run("scontrol", "requeue", *tree.jobs())
    return started


def preempted(tree: SlurmTree) -> Started:
    """A job of a partition with a higher priority takes what this one and no other has."""
    started = at_work(tree, partition="low", cpus=CPUS_OF_PREEMPTED)
    cpus = CPUS - CPUS_OF_PREEMPTED + 1
    tree.cluster.run("srun", "--partition=gpu", "--nodes=2", f"--cpus-per-task={cpus}", "true")
    return started


def dead_rank(tree: SlurmTree) -> Started:
    """A process on the second node is killed."""
    started = at_work(tree)
    (worker,) = workers_of(tree, rank=3)
    worker.kill()
    return started


DISTURBED: tuple[Case, ...] = (requeued, preempted, dead_rank)


def begun(tree: SlurmTree, *, partition: str = "batch", cpus: int = 1) -> Started:
    """Start a training on two nodes, two processes each."""
    tree.set_profile(
        default_resources={"slurm_partition": partition},
        set_threads={"pretrain_model": cpus},
        set_resources={"pretrain_model": {**TWO_BY_TWO, "gpu": 0, "mem_mb": 8000}},
    )
    return tree.start(TARGET, overlay=OVERLAY)


def at_work(tree: SlurmTree, *, partition: str = "batch", cpus: int = 1) -> Started:
    """Start a training, and come back when the state of some steps is kept."""
    started = begun(tree, partition=partition, cpus=cpus)
    started.wait_until(lambda: newest_step(tree.folder / FOLDER) >= EVENT_STEP)
    return started


@pytest.fixture(scope="module")
def trained(slurm_tree: Callable[[str], SlurmTree]) -> Iterator[Callable[[Case], Started]]:
    """Give a function that gives the ended workflow of a case; all of them are started here."""

    def through(case: Case) -> Started:
        started = case(slurm_tree(case.__name__))
        assert started.wait() == 0, started.text()
        return started

    with ThreadPoolExecutor(AT_ONCE) as pool:
        going: dict[Case, Future[Started]] = {
            case: pool.submit(through, case) for case in (calm, *DISTURBED)
        }
        yield lambda case: going[case].result()


@pytest.fixture(scope="module")
def one_process(
    ready_tree: Path,
    run_snakemake: Callable[..., Done],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Give a tree in which one process trained, without Slurm."""
    folder = tmp_path_factory.mktemp("one") / "tree"
    tree = shutil.copytree(ready_tree, folder, symlinks=True)
    done = run_snakemake(tree, TARGET, overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    return tree


def test_two_nodes_have_the_losses_of_one_process(
    trained: Callable[[Case], Started], one_process: Path
) -> None:
    assert history(trained(calm).tree.folder) == [
        pytest.approx(row, rel=TOLERANCE) for row in history(one_process)
    ]


def test_two_nodes_have_the_weights_of_one_process(
    trained: Callable[[Case], Started], one_process: Path
) -> None:
    ours = load_file(trained(calm).tree.folder / TARGET)
    theirs = load_file(one_process / TARGET)
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) <= TOLERANCE


def test_the_processes_were_on_two_nodes(trained: Callable[[Case], Started]) -> None:
    assert "4 processes on 2 nodes" in training_log(trained(calm))


@pytest.mark.parametrize("case", DISTURBED, ids=lambda case: case.__name__)
def test_a_disturbed_training_ends_with_the_weights_of_a_calm_one(
    case: Case, trained: Callable[[Case], Started]
) -> None:
    files = [trained(one).tree.folder / TARGET for one in (case, calm)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("case", DISTURBED, ids=lambda case: case.__name__)
def test_a_disturbed_training_goes_on_and_does_not_begin_anew(
    case: Case, trained: Callable[[Case], Started]
) -> None:
    text = training_log(trained(case))
    (step,) = [int(part.split(",")[0]) for part in text.split("going on after step ")[1:]]
    assert step >= EVENT_STEP


@pytest.mark.parametrize(
    ("case", "count"),
    [(calm, 1), (requeued, 1), (preempted, 1), (dead_rank, 2)],
    ids=("calm", "requeued", "preempted", "dead_rank"),
)
def test_only_a_failed_job_counts_as_a_try(
    case: Case, count: int, trained: Callable[[Case], Started]
) -> None:
    assert trained(case).text().count("has been submitted with SLURM jobid") == count


def test_a_dead_process_ends_the_others_and_is_told_of(trained: Callable[[Case], Started]) -> None:
    tree = trained(dead_rank).tree.folder
    (log,) = (tree / ".snakemake/slurm_logs/rule_pretrain_model/cosine").glob("*.log")
    text = log.read_text(encoding="utf-8")
    assert "a process of the training died without saying why" in text


def history(tree: Path) -> list[dict[str, float]]:
    """Read the losses of all steps."""
    with (tree / FOLDER / "history.csv").open(encoding="utf-8") as file:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return rows


def training_log(started: Started) -> str:
    """Read the log of the training."""
    return started.tree.log("pretrain_model/cosine.log")
