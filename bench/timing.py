"""Times and memory of variants of one computation.

The variants take turns, so that a change of the machine's load meets all of them; the numbers are
medians over the turns.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Measured = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Medians:
    """Wall-clock and processor seconds of one call, medians over the turns."""

    wall_seconds: float
    cpu_seconds: float


def in_turns(
    variants: Mapping[str, Measured], *, turns: int, device: str = "cpu", has_warm_up: bool = True
) -> dict[str, Medians]:
    """Time every variant once a turn, after one turn that does not count."""
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(turns + has_warm_up):
        for name, variant in variants.items():
            began, began_cpu = time.perf_counter(), _cpu_seconds()
            variant()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= has_warm_up:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(_cpu_seconds() - began_cpu)
    return {
        name: Medians(
            wall_seconds=statistics.median(wall[name]), cpu_seconds=statistics.median(cpu[name])
        )
        for name in variants
    }


def _cpu_seconds() -> float:
    """Give the processor seconds of this process, and of those it started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_mib(variant: Measured, *, device: str = "cpu") -> float:
    """Give the most memory in MiB that torch held at once for a call, above what it held before.

    On a CPU torch's profiler reports each time that memory is taken or given back; what libraries
    below torch take for themselves is not in it.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        variant()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before) / 2**20
    held = most = 0
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        variant()
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 2**20
