"""One step of training, in the ways that are measured."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, distributed, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gram.config import (
    InputsConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainingConfig,
)
from gram.config.presets import PresetName
from gram.model import GramModel
from gram.training.counting import forward_operations, forward_step, made_batch, without_content
from gram.training.gradients import add_gradients
from gram.training.optimizer import build_optimizer
from gram.training.precision import Precision, PrecisionName
from gram.training.update import average_and_clip, take_step
from gram.types import ITEM_MODALITIES, Batch, Tokens

PIECES = 2000

DEMO_INPUTS = InputsConfig(
    image_pixels=32, train_frames=2, audio_frames=224, subtitle_tokens=40, missing="mask"
)
DEMO_LOSS = LossConfig(gather="connected", matching_on="all", matching_clips=16)
"""Inputs and objective of the demo, whose model `tiny` is."""

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


class Step:
    """A model, its optimizer and a batch; called, it takes one step of training."""

    def __init__(self, way: Way) -> None:
        """Build all three, at random, with the demo's inputs for `tiny`."""
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
        """Take the step."""
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
