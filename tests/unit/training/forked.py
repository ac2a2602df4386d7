"""Processes forked from the test's own, which has loaded torch already; several form a group."""

import multiprocessing
import os
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from torch import distributed

FORK = multiprocessing.get_context("fork")
TIMEOUT = timedelta(seconds=60)


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


def exit_codes(processes: list[BaseProcess]) -> list[int | None]:
    """Wait for all, and say how each ended."""
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
