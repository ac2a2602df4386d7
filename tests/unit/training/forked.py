"""Processes forked from the test's own, which has loaded torch already; several form a group."""

import multiprocessing
import os
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from torch import distributed

FORK = multiprocessing.get_context("fork")
TIMEOUT = timedelta(seconds=60)
LONGEST_SECONDS = 0.05
"""Most time between a step and a kill: about a step, on one core."""


def started(work: Callable[[], object]) -> BaseProcess:
    """Start one process."""
    process = FORK.Process(target=work)
    process.start()
    return process


def started_ranks(
    work: Callable[[], object], meeting: Path, *, ranks: int = 2
) -> list[BaseProcess]:
    """Start the ranks of a group (gloo), which meet in a file that must not be there yet."""

    def in_rank(rank: int) -> None:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        torch.set_num_threads(1)
        address = f"file://{meeting}"
        distributed.init_process_group(
            "gloo", init_method=address, rank=rank, world_size=ranks, timeout=TIMEOUT
        )
        work()
        distributed.destroy_process_group()

    return [started(lambda rank=rank: in_rank(rank)) for rank in range(ranks)]  # type: ignore[misc]


def newest_step(folder: Path) -> int:
    """Give the step of the newest partial checkpoint of a training; 0 if there is none."""
    names = [path.name for path in folder.glob("partial/last.step*.pt")]
    return max((int(name.split(".")[1].removeprefix("step")) for name in names), default=0)


def wait_at_random(
    processes: list[BaseProcess], folder: Path, *, moments: np.random.Generator
) -> None:
    """Wait until up to two more steps are done, and a little longer, or the processes end."""
    step = newest_step(folder) + int(moments.integers(0, 3))
    limit = time.monotonic() + TIMEOUT.total_seconds()
    while newest_step(folder) < step and all(one.is_alive() for one in processes):
        assert time.monotonic() < limit
        time.sleep(0.001)
    time.sleep(moments.uniform(0, LONGEST_SECONDS))


def exit_codes(processes: list[BaseProcess]) -> list[int | None]:
    """Wait for all, and say how each ended."""
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
