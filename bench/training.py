"""Steps of training: their time, what they make of the processor, and the released code's manner.

A step is the training's own: gradient, average over processes, clipping, the optimizer's update. It
stands beside the same step in the manner of the released code: encoders under autocast in 16 bits,
attention that is not fused, and gradients that are averaged one parameter at a time.
"""

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.corpus import write_shards
from bench.timing import Measured, in_turns, peak_mib
from gram.config import (
    InputsConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainingConfig,
)
from gram.config.presets import PresetName
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.tracking import Silence
from gram.training.counting import forward_operations, forward_step, made_batch, without_content
from gram.training.gradients import add_gradients
from gram.training.loop import train
from gram.training.means import Means
from gram.training.optimizer import build_optimizer
from gram.training.precision import Precision, PrecisionName
from gram.training.preparation import TrainingFiles
from gram.training.update import average_and_clip, take_step
from gram.types import ITEM_MODALITIES, Batch, Modality, Tokens

PIECES = 2000
TURNS, GPU_TURNS = 7, 10
PROCESSES = 2
WAITING_STEPS = 60

DEMO_INPUTS = InputsConfig(
    image_pixels=32, train_frames=2, audio_frames=224, subtitle_tokens=40, missing="mask"
)
DEMO_LOSS = LossConfig(gather="connected", matching_on="all", matching_clips=16)
DEMO_CLIPS = 64
"""Inputs, objective and batch of the demo, whose model `tiny` is."""

GPU_CLIPS: dict[PresetName, tuple[int, ...]] = {
    "small": (16, 32, 64, 128, 256),
    "paper": (4, 8, 16, 32, 64),
}
"""Batches that are tried on a GPU, until one does not fit."""

SIDE = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices whose product tells what the device can do."""

OPERATIONS_OF_TRAINING = 3
"""A step costs as many operations as three forward passes: its own, and two for the gradients."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a step is computed.

    Attributes:
        preset: Sizes of the model.
        clips: Of one process.
        device: Kind of device.
        precision: What the encoders compute in.
        is_checkpointed: Whether layers are computed again in the backward pass.
        is_compiled: Whether torch.compile compiles the encoders.
        is_fused: Whether attention is that of a fused kernel.
        is_sent_at_once: Whether gradients are averaged many at once, or one parameter at a time.
    """

    preset: PresetName
    clips: int
    device: str = "cpu"
    precision: PrecisionName = "fp32"
    is_checkpointed: bool = False
    is_compiled: bool = False
    is_fused: bool = True
    is_sent_at_once: bool = True


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
        "square matrices reaches here in the same precision. Memory is what torch held at most, "
        "weights, gradients and moments left out.",
    ]
    blocks.append("\n".join([*_head(), *(_line(way) for way in _cpu_ways())]))
    tell(blocks[-1])
    if torch.cuda.is_available():
        blocks.append("\n".join([*_head(), *_gpu_lines(tell)]))
    else:
        blocks.append("`small` and `paper` were not measured: this machine has no GPU.")
    blocks += [_manners_text(_in_processes()), _waiting_text(folder)]
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
    step = _Step(way)
    turns = GPU_TURNS if way.device == "cuda" else TURNS
    seconds = in_turns({"step": step}, turns=turns, device=way.device)["step"].wall_seconds
    share = step.operations() / seconds / _fastest(way)
    memory = peak_mib(step, device=way.device)
    yes = {True: "yes", False: "no"}
    return (
        f"| {way.preset} | {way.precision} | {way.clips} | {yes[way.is_checkpointed]} | "
        f"{yes[way.is_compiled]} | {1000 * seconds:.0f} | {way.clips / seconds:.0f} | "
        f"{100 * share:.0f} % | {memory:.0f} |"
    )


def _fastest(way: Way) -> float:
    """Give the operations a second of one large product of matrices."""
    side = SIDE[way.device]
    dtype = torch.float32 if way.precision == "fp32" else torch.bfloat16
    one, other = (torch.randn(side, side, device=way.device, dtype=dtype) for _ in range(2))
    medians = in_turns({"product": lambda: one @ other}, turns=5, device=way.device)
    return 2 * side**3 / medians["product"].wall_seconds


class _Step:
    """A model, its optimizer and a batch; called, it takes one step of training."""

    def __init__(self, way: Way) -> None:
        torch.manual_seed(0)
        self.way, is_tiny = way, way.preset == "tiny"
        self.inputs = DEMO_INPUTS if is_tiny else InputsConfig()
        self.loss = DEMO_LOSS if is_tiny else LossConfig()
        modalities = ITEM_MODALITIES if is_tiny else ITEM_MODALITIES[:3]
        self.config = ModelConfig(preset=way.preset, modalities=modalities)
        model = GramModel(self.config, self.inputs, pieces=("",) * PIECES).to(way.device).train()
        if way.is_checkpointed:
            model.checkpoint_activations()
        if way.is_compiled:
            model.compile_encoders()
        training, optimizer = TrainingConfig(steps=1), OptimizerConfig()
        self.clip_norm = optimizer.clip_norm or torch.inf
        self.model = model
        self.optimizer = build_optimizer(model, optimizer, training=training)
        self.precision = Precision(way.precision, torch.device(way.device))
        self.batch = _random(made_batch(model, clips=way.clips))

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        kernel = nullcontext() if self.way.is_fused else sdpa_kernel(SDPBackend.MATH)
        with kernel:
            add_gradients(self.model, self.batch, self.loss, precision=self.precision)
        if self.way.is_sent_at_once:
            average_and_clip(self.model, self.optimizer, self.precision, clip_norm=self.clip_norm)
        else:
            self._average_one_by_one()
        take_step(self.model, self.optimizer, self.precision)

    def operations(self) -> int:
        """Count the operations of a step."""
        with without_content(
            self.config, self.inputs, num_pieces=PIECES, device=self.way.device
        ) as model:
            forward = forward_operations(model, forward_step(self.loss), clips=self.way.clips)
        return OPERATIONS_OF_TRAINING * forward

    def _average_one_by_one(self) -> None:
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= distributed.get_world_size()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)


def _random(batch: Batch) -> Batch:
    """Give the same batch with content, on the processor."""

    def pixels(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else torch.randint_like(tensor, 256)

    def pieces(texts: Tokens | None) -> Tokens | None:
        if texts is None:
            return None
        return replace(texts, ids_bl=torch.randint_like(texts.ids_bl, PIECES))

    return replace(
        batch,
        caption=pieces(batch.caption),
        subtitle=pieces(batch.subtitle),
        video_bfchw=pixels(batch.video_bfchw),
        depth_bfchw=pixels(batch.depth_bfchw),
        audio_bctm=None if batch.audio_bctm is None else torch.randn_like(batch.audio_bctm),
    )


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
    steps: dict[str, Measured] = {name: _Step(way) for name, way in MANNERS.items()}
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


# --- waiting for clips ---------------------------------------------------------------------------


class _Notebook(Silence):
    """Keeps the shares of time that were spent waiting."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        self.shares.append(values["data_wait_share"])


def _waiting_text(folder: Path) -> str:
    """Train on clips of the loader's bench; say how much of the time was spent waiting for them."""
    index = write_shards(folder)
    rows = []
    for workers, cache_mib in ((0, 0), (1, 0), (1, 512)):
        notebook = _Notebook()
        files = TrainingFiles(
            index=index,
            vocabulary=folder / "vocab.txt",
            start=None,
            checkpoint=folder / f"run{workers}_{cache_mib}" / "last.safetensors",
        )
        means = Means(device=torch.device("cpu"), workers=workers, cache_mib=cache_mib)
        train(_waiting_settings(), files, means, tracker=notebook)
        share = statistics.mean(notebook.shares[1:])  # the first ones wait for the first batch
        rows.append(f"| {workers} | {'yes' if cache_mib else 'no'} | {100 * share:.0f} % |")
    return "\n".join(
        [
            f"Share of the time of a training of `tiny` that is spent waiting for clips: "
            f"{WAITING_STEPS} steps of 16 clips, video of {DEMO_INPUTS.image_pixels} pixels and "
            f"sound, clips as in the section on the loader.",
            "",
            "| threads that read clips | clips kept in memory | waiting |",
            "|---:|---|---:|",
            *rows,
        ]
    )


def _waiting_settings() -> TrainSettings:
    return TrainSettings(
        seed=0,
        model=ModelConfig(preset="tiny", modalities=(Modality.VIDEO, Modality.AUDIO)),
        inputs=DEMO_INPUTS,
        loss=DEMO_LOSS,
        optimizer=OptimizerConfig(),
        training=TrainingConfig(steps=WAITING_STEPS, batch_size=16),
    )
