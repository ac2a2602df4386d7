"""Steps of training: their time, what they make of the processor, and the released code's manner.

A step is the training's own: gradient, average over processes, clipping, the optimizer's update. It
stands beside the same step in the manner of the released code: encoders under autocast in 16 bits,
attention that is not fused, and gradients that are averaged one parameter at a time.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from bench.steps import Step, Way
from bench.timing import Measured, in_turns, peak_mib
from bench.waiting import waiting_text
from gram.config.presets import PresetName

TURNS, GPU_TURNS = 7, 10
PROCESSES = 2

DEMO_CLIPS = 64
"""Clips of a step of the demo, whose model `tiny` is."""

GPU_CLIPS: dict[PresetName, tuple[int, ...]] = {
    "small": (16, 32, 64, 128, 256),
    "paper": (4, 8, 16, 32, 64),
}
"""Batches that are tried on a GPU, until one does not fit."""

SIDE = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices whose product tells what the device can do."""


TINY = Way(preset="tiny", clips=DEMO_CLIPS)
SHARE = replace(TINY, clips=DEMO_CLIPS // PROCESSES)
MANNERS = {
    "ours, fp32": SHARE,
    "ours, bf16": replace(SHARE, precision="bf16"),
    "fp32, attention not fused": replace(SHARE, is_fused=False),
    "fp32, one parameter at a time": replace(SHARE, is_sent_at_once=False),
    "released code: bf16 autocast, both": replace(
        SHARE, precision="bf16", is_fused=False, is_sent_at_once=False
    ),
}
"""Ways to compute a step in two processes."""


def training_section(folder: Path, tell: Callable[[str], None]) -> str:
    """Measure steps on this machine, and give the section that says what came out."""
    blocks = [
        "## Training",
        "One step: gradient, average over processes, clipping, AdamW. *Utilisation* is what the "
        "model's matrix products need in a step (three forward passes of them, counted from the "
        "layers, what checkpoints compute again left out), as a share of what a product of two "
        "square matrices reaches here in the same precision, in turns with the steps. Memory is "
        "what torch held at most, weights, gradients and moments left out.",
    ]
    blocks.append("\n".join([*_head(), *(_line(way) for way in _cpu_ways())]))
    tell(blocks[-1])
    if torch.cuda.is_available():
        blocks.append("\n".join([*_head(), *_gpu_lines(tell)]))
    else:
        blocks.append("`small` and `paper` were not measured: this machine has no GPU.")
    blocks += [_manners_text(_in_processes()), waiting_text(folder)]
    return "\n\n".join(blocks)


# --- one process -----------------------------------------------------------------------------


def _head() -> list[str]:
    return [
        "| model | precision | clips | checkpointed | compiled | step, ms | clips/s | "
        "utilisation | memory, MiB |",
        "|---|---|---:|---|---|---:|---:|---:|---:|",
    ]


def _cpu_ways() -> Iterator[Way]:
    for precision in ("fp32", "bf16"):
        for is_checkpointed in (False, True):
            yield replace(TINY, precision=precision, is_checkpointed=is_checkpointed)


def _gpu_lines(tell: Callable[[str], None]) -> Iterator[str]:
    """Measure larger and larger batches in each way, up to what fits."""
    for preset, sizes in GPU_CLIPS.items():
        for is_checkpointed in (False, True):
            for is_compiled in (False, True):
                for clips in sizes:
                    way = Way(
                        preset=preset,
                        clips=clips,
                        device="cuda",
                        precision="bf16",
                        is_checkpointed=is_checkpointed,
                        is_compiled=is_compiled,
                    )
                    try:
                        line = _line(way)
                    except torch.OutOfMemoryError:
                        break
                    finally:
                        torch.cuda.empty_cache()
                    tell(line)
                    yield line


def _line(way: Way) -> str:
    """Measure one way; give its line of the table."""
    step = Step(way)
    turns = GPU_TURNS if way.device == "cuda" else TURNS
    side = SIDE[way.device]
    variants: dict[str, Measured] = {"step": step, "product": _product(way, side=side)}
    medians = in_turns(variants, turns=turns, device=way.device)
    seconds = medians["step"].wall_seconds
    fastest = 2 * side**3 / medians["product"].wall_seconds
    share = step.operations() / seconds / fastest
    memory = peak_mib(step, device=way.device)
    yes = {True: "yes", False: "no"}
    return (
        f"| {way.preset} | {way.precision} | {way.clips} | {yes[way.is_checkpointed]} | "
        f"{yes[way.is_compiled]} | {1000 * seconds:.0f} | {way.clips / seconds:.0f} | "
        f"{100 * share:.0f} % | {memory:.0f} |"
    )


def _product(way: Way, *, side: int) -> Measured:
    """Give one product of square matrices, in the precision of a way."""
    dtype = torch.float32 if way.precision == "fp32" else torch.bfloat16
    one, other = (torch.randn(side, side, device=way.device, dtype=dtype) for _ in range(2))
    return lambda: one @ other


# --- two processes -----------------------------------------------------------------------------


def _in_processes() -> dict[str, float]:
    """Measure all manners in two processes, which take their steps together; give seconds."""
    with tempfile.TemporaryDirectory(prefix="gram-bench-ranks-") as folder:
        result = Path(folder) / "seconds.json"
        multiprocessing.spawn(
            _measure_rank, args=(f"file://{folder}/meeting", result), nprocs=PROCESSES
        )
        found: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    return found


def _measure_rank(rank: int, meeting: str, result: Path) -> None:
    """Take the steps of all manners by turns, as one of the processes; the first one writes."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=PROCESSES)
    steps: dict[str, Measured] = {name: Step(way) for name, way in MANNERS.items()}
    medians = in_turns(steps, turns=TURNS)
    if rank == 0:
        seconds = {name: one.wall_seconds for name, one in medians.items()}
        result.write_text(json.dumps(seconds), encoding="utf-8")
    distributed.destroy_process_group()


def _manners_text(seconds: dict[str, float]) -> str:
    ours = seconds["ours, fp32"]
    head = [
        f"`tiny` in {PROCESSES} processes of one thread, {DEMO_CLIPS} clips a step, gradients "
        "averaged by gloo. All ways take turns. The released code computes in fp16 on GPUs; "
        "processors have bf16 in its place.",
        "",
        "| way | step, ms | clips/s | times the first |",
        "|---|---:|---:|---:|",
    ]
    return "\n".join(
        [
            *head,
            *(
                f"| {name} | {1000 * one:.0f} | {DEMO_CLIPS / one:.0f} | {one / ours:.2f} |"
                for name, one in seconds.items()
            ),
        ]
    )
