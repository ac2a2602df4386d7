"""Runs a function in several processes that form a group over loopback (gloo)."""

import os
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing

ROOT = Path(__file__).parents[1]
TIMEOUT = timedelta(seconds=60)


def run_ranks(function: Callable[..., Any], *arguments: Any, ranks: int = 2) -> list[Any]:  # noqa: ANN401 - whatever the function takes
    """Call a function in every rank, and give what each returned, in order.

    Args:
        function: Stands at the top of a module below the repository, so that it can be sent.
        arguments: What it is given, plain values and tensors.
        ranks: Number of processes.
    """
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # a new process finds the function's module by it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(arguments, folder / "given.pt")
        multiprocessing.spawn(_call, (ranks, folder, function), nprocs=ranks)  # type: ignore[no-untyped-call]
        return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(ranks)]


def _call(rank: int, ranks: int, folder: Path, function: Callable[..., Any]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=ranks,
        timeout=TIMEOUT,
    )
    try:
        arguments = torch.load(folder / "given.pt", weights_only=True)
        torch.save(function(*arguments), folder / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()
