"""How much memory a training takes on a GPU, computed without one: nothing is allocated.

One forward pass goes through a model without content (``gram.training.counting``), and what
autograd would keep of it is summed up. Then a process of a training takes, in bytes:

    16 x parameters                             weights, gradients and both moments, float32
    + shared                                    weights in 16 bits, kept until the backward pass
    + 4 x parameters of encoders that are called more than once, whose gradients are summed apart
    + clips held at once x (clip + 2 x layer)   activations, and what the backward pass works with
    + clips of the share x 2 x inputs           of the batch at hand, and of the next one
    + tokens for matching                       of all clips of the batch
    + a tenth of all that, and 1 GiB            what the allocator and the driver hold beyond it

Clips held at once are those of ``micro_batch``, or the whole share. With
``checkpoint_activations`` what is kept are the inputs of layers alone. With ``shard_model`` a
process has a share of the vision tower's part of the first line.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from gram.config import InputsConfig, LossConfig, ModelConfig
from gram.model import GramModel
from gram.training.counting import (
    Work,
    forward_step,
    kept_bytes,
    made_batch,
    without_content,
)
from gram.training.precision import PrecisionName
from gram.training.step import used_for_matching
from gram.types import Batch, Modality

WEIGHT_BYTES = 4
"""Of a parameter in single precision."""

STATE_BYTES = 4 * WEIGHT_BYTES
"""Of a parameter, its gradient and its two moments."""

TOKEN_BYTES = 4
"""Of a number of a token for matching: a norm comes last, which is computed in float32."""

RESERVED_SHARE = 0.1
"""What torch's allocator holds beyond what is used; an estimate."""

DRIVER_BYTES = 2**30
"""What driver, libraries and their workspaces take; an estimate."""

COUNTED_CLIPS = (2, 4)
"""Clips of the two passes that tell apart what each clip takes and what all share."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a forward pass keeps, in bytes.

    Attributes:
        clip: For each clip.
        shared: However many clips: copies of the weights, mainly.
    """

    clip: int
    shared: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a model is trained.

    Attributes:
        batch_size: Clips of a step, of all processes together.
        processes: One a GPU.
        is_checkpointed: Whether layers are computed again in the backward pass.
        is_sharded: Whether the vision tower's weights are kept in shares.
    """

    batch_size: int
    processes: int = 1
    is_checkpointed: bool = False
    is_sharded: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """What the training of a model takes, in bytes.

    Attributes:
        states: Weights, gradients and moments.
        vision_states: Those of the vision tower among them.
        summed: Gradients of encoders that are called more than once, which are summed apart.
        plain: What a pass keeps.
        checkpointed: The same where layers are computed again.
        layer: What the largest layer keeps for each clip.
        inputs: Of each clip: pictures, filter banks, word pieces.
        tokens: Of each clip: what the matching head reads.
    """

    states: int
    vision_states: int
    summed: int
    plain: Kept
    checkpointed: Kept
    layer: int
    inputs: int
    tokens: int

    def of_process(self, case: Case, *, clips: int) -> int:
        """Give the bytes that one process takes, with the graph of so many clips held at once."""
        spared = self.vision_states * (case.processes - 1) // case.processes
        used = (
            self.states
            - (spared if case.is_sharded else 0)
            + self.activations(clips, is_checkpointed=case.is_checkpointed)
            + 2 * self.inputs * case.batch_size // case.processes
            + self._tokens(case)
        )
        return DRIVER_BYTES + int(used * (1 + RESERVED_SHARE))

    def activations(self, clips: int, *, is_checkpointed: bool) -> int:
        """Give the bytes that come and go in a step of so many clips."""
        kept = self.checkpointed if is_checkpointed else self.plain
        return self.summed + kept.shared + clips * (kept.clip + 2 * self.layer)

    def most_clips(self, case: Case, *, memory: int) -> int:
        """Give how many clips' graphs fit into so many bytes, at most the share; 0: none does."""
        none, one = (self.of_process(case, clips=clips) for clips in (0, 1))
        return max(0, min(case.batch_size // case.processes, (memory - none) // (one - none)))

    def _tokens(self, case: Case) -> int:
        """Tokens for matching: those of the share as they are, joined, and the gradients of both.

        Several processes hold those of the whole batch besides, with their gradient.
        """
        gathered = 2 * case.batch_size if case.processes > 1 else 0
        return self.tokens * (4 * case.batch_size // case.processes + gathered)


def training_memory(
    model: ModelConfig,
    inputs: InputsConfig,
    loss: LossConfig,
    *,
    num_pieces: int,
    precision: PrecisionName = "bf16",
    device: str = "cuda",
) -> TrainingMemory:
    """Compute what the training of a model takes.

    Args:
        model: Modalities and sizes.
        inputs: Sizes of what it is given.
        loss: Tells what the matching head reads.
        num_pieces: Word pieces of its vocabulary.
        precision: What the encoders compute in.
        device: Kind of device that is computed for; it need not be there.
    """
    with without_content(model, inputs, num_pieces=num_pieces, device=device) as counted:
        batch = made_batch(counted, clips=1)
        plain = _kept(counted, forward_step(loss), precision)
        layer = max(_layers(counted, plain, precision))
        counted.checkpoint_activations()
        return TrainingMemory(
            states=STATE_BYTES * _size(counted),
            vision_states=0 if counted.vision is None else STATE_BYTES * _size(counted.vision),
            summed=WEIGHT_BYTES * sum(_size(one) for one in _called_again(counted)),
            plain=plain,
            checkpointed=_kept(counted, forward_step(loss), precision),
            layer=layer,
            inputs=_input_bytes(batch),
            tokens=_token_bytes(counted, batch, loss),
        )


def _kept(model: GramModel, work: Work, precision: PrecisionName) -> Kept:
    """Tell what a pass keeps, from two passes of different size."""
    few, many = COUNTED_CLIPS
    one, other = (
        kept_bytes(model, work, clips=clips, precision=precision) for clips in COUNTED_CLIPS
    )
    clip = (other - one) // (many - few)
    return Kept(clip=clip, shared=one - few * clip)


def _layers(model: GramModel, step: Kept, precision: PrecisionName) -> Iterator[int]:
    """Give what one layer keeps for each clip: of each encoder, and of what reads the pairs.

    The latter is what a step keeps beyond its encoders.
    """
    sizes, vision, audio = model.model_config, model.vision, model.audio

    def see(_: GramModel, batch: Batch) -> object:
        assert vision is not None  # noqa: S101 - asked for below only
        return vision(batch.video_bfchw if batch.video_bfchw is not None else batch.depth_bfchw)

    def hear(_: GramModel, batch: Batch) -> object:
        assert audio is not None  # noqa: S101
        return audio(batch.audio_bctm)

    def encode(model: GramModel, batch: Batch) -> object:
        return model.encode(batch)

    if vision is not None:
        yield _kept(model, see, precision).clip // sizes.vision.depth
    if audio is not None:
        yield _kept(model, hear, precision).clip // sizes.audio.depth
    yield (step.clip - _kept(model, encode, precision).clip) // sizes.text.depth


def _called_again(model: GramModel) -> Iterator[nn.Module]:
    """Give the encoders that a step calls more than once, such as that of captions and pairs."""
    yield model.text
    if model.vision is not None and {Modality.VIDEO, Modality.DEPTH} <= set(model.modalities):
        yield model.vision


def _size(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def _input_bytes(batch: Batch) -> int:
    texts = [one for one in (batch.caption, batch.subtitle) if one is not None]
    tensors = [batch.video_bfchw, batch.depth_bfchw, batch.audio_bctm]
    tensors += [one.ids_bl for one in texts] + [one.mask_bl for one in texts]
    return sum(one.numel() * one.element_size() for one in tensors if one is not None)


def _token_bytes(model: GramModel, batch: Batch, loss: LossConfig) -> int:
    """Give the size of what the matching head reads of one clip."""
    used: tuple[Modality, ...] = used_for_matching(model, loss) if loss.matching_weight > 0 else ()
    condition = model.encode(batch).condition
    return TOKEN_BYTES * sum(condition[name].numel() for name in used)
