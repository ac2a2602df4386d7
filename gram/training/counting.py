"""A forward pass through a model without content: what autograd keeps of it, and how much it does.

All tensors have a device and a type, and no memory: the sizes of a model for GPUs are found on any
machine, with the types that autocast gives on that device.

Shape letters of this file: B items, H heads, L queries, S keys, E width of a head, N pairs, Q
condition tokens, D width.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from gram.config import InputsConfig, LossConfig, ModelConfig
from gram.model import Encodings, GramModel
from gram.training.precision import DTYPES, PrecisionName
from gram.training.step import Pairs, read_pairs, used_for_matching
from gram.types import Batch, Modality, Tokens

PAIRS = 3
"""Pairs of text and item that the matching head reads for each clip."""

Work = Callable[[GramModel, Batch], object]
"""A part of a forward pass; what it returns is alive while it is counted."""


@contextmanager
def without_content(
    model: ModelConfig, inputs: InputsConfig, *, num_pieces: int, device: str = "cuda"
) -> Iterator[GramModel]:
    """Build a model, in which no layer is left out at random, and let the block pass data through.

    Inside the block nothing has content, and attention keeps what a fused kernel keeps.

    Args:
        model: Modalities and sizes.
        inputs: Sizes of what it is given.
        num_pieces: Word pieces of its vocabulary.
        device: Kind of device that is computed for; it need not be there.
    """
    audio = model.audio.model_copy(update={"layer_drop": 0.0})
    with torch.device("meta"):
        built = GramModel(
            model.model_copy(update={"audio": audio}), inputs, pieces=("",) * num_pieces
        )
    with FakeTensorMode(allow_non_fake_inputs=True), _FusedAttention(), torch.device(device):
        _give_a_device(built)
        yield built.train()


def made_batch(model: GramModel, *, clips: int) -> Batch:
    """Make a batch whose clips have all of the model's modalities, and texts of full length."""
    inputs, names = model.inputs_config, model.modalities

    def texts(length: int) -> Tokens:
        return Tokens(
            ids_bl=torch.zeros(clips, length, dtype=torch.int64),
            mask_bl=torch.ones(clips, length, dtype=torch.bool),
        )

    def pictures(name: Modality, *, channels: int) -> Tensor | None:
        pixels = inputs.image_pixels
        shape = (clips, inputs.train_frames, channels, pixels, pixels)
        return torch.zeros(shape, dtype=torch.uint8) if name in names else None

    banks = (clips, inputs.audio_clips, inputs.audio_frames, inputs.mel_bins)
    return Batch(
        clip_ids=tuple(f"clip{number}" for number in range(clips)),
        caption=texts(inputs.caption_tokens),
        video_bfchw=pictures(Modality.VIDEO, channels=3),
        depth_bfchw=pictures(Modality.DEPTH, channels=1),
        audio_bctm=torch.zeros(banks) if Modality.AUDIO in names else None,
        subtitle=texts(inputs.subtitle_tokens) if Modality.SUBTITLE in names else None,
        present={name: torch.ones(clips, dtype=torch.bool) for name in names},
    )


def forward_step(loss: LossConfig) -> Work:
    """Give the forward pass of a step: clips through the encoders, pairs through the matching head.

    Partners are not drawn: each clip is read with itself, three times, as often as a step reads it
    with itself and others. The contrastive loss is left out: it takes next to nothing.
    """

    def work(model: GramModel, batch: Batch) -> object:
        encodings = model.encode(batch)
        return encodings, match(model, encodings, loss)

    return work


def match(model: GramModel, encodings: Encodings, loss: LossConfig) -> Tensor | None:
    """Read three pairs a clip, and give their loss; None: matching has no weight."""
    if loss.matching_weight == 0:
        return None
    condition_nqd, mask_nq = encodings.condition_of(used_for_matching(model, loss))
    clips = min(len(condition_nqd), loss.matching_clips or len(condition_nqd))
    rows = torch.arange(clips, device=condition_nqd.device).repeat(PAIRS)
    pairs = Pairs(
        texts=encodings.captions,
        condition_nqd=condition_nqd,
        mask_nq=mask_nq,
        text_rows=rows,
        item_rows=rows,
        num_right=clips,
        share=1.0,
    )
    return read_pairs(model, pairs, slice(None))


def kept_bytes(model: GramModel, work: Work, *, clips: int, precision: PrecisionName) -> int:
    """Count what autograd keeps of a pass until its backward pass, in bytes, weights left out."""
    batch, kept = made_batch(model, clips=clips), KeptTensors(model)
    with computing_in(precision, kind=_kind(model)), kept:
        results = work(model, batch)
        found = kept.bytes
        del results
    return found


def forward_operations(model: GramModel, work: Work, *, clips: int) -> int:
    """Count the floating-point operations of the matrix products of a pass, attention's too."""
    batch = made_batch(model, clips=clips)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work(model, batch)
    return int(counter.get_total_flops())


class KeptTensors(saved_tensors_hooks):
    """Counts what autograd keeps inside the block: each memory once, that of weights not."""

    def __init__(self, model: nn.Module) -> None:
        """Take the module whose weights and buffers do not count."""
        self._left_out = {_memory(one) for one in (*model.parameters(), *model.buffers())}
        self._held: dict[int, Tensor] = {}
        super().__init__(self._keep, lambda tensor: tensor)

    @property
    def bytes(self) -> int:
        """Give what is kept so far."""
        return sum(one.untyped_storage().nbytes() for one in self._held.values())

    def _keep(self, tensor: Tensor) -> Tensor:
        if _memory(tensor) not in self._left_out:
            self._held.setdefault(_memory(tensor), tensor.detach())
        return tensor


@contextmanager
def computing_in(precision: PrecisionName, *, kind: str) -> Iterator[None]:
    """Turn autocast on for a kind of device that need not be there, as torch.autocast does not."""
    dtype = DTYPES[precision]
    before = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    torch.autocast_increment_nesting()
    torch.set_autocast_enabled(kind, dtype is not None)
    torch.set_autocast_dtype(kind, dtype or before[1])
    try:
        yield
    finally:
        torch.set_autocast_enabled(kind, before[0])
        torch.set_autocast_dtype(kind, before[1])
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()


class _FusedAttention(TorchFunctionMode):
    """Has attention keep what a fused kernel keeps, whatever device there is."""

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 - torch's types
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        given = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            query_bhle, key_bhse, value_bhse = args[:3]
            return _attend(query_bhle, key_bhse, value_bhse, given.get("attn_mask"))
        return func(*args, **given)


def _attend(
    query_bhle: Tensor, key_bhse: Tensor, value_bhse: Tensor, mask: Tensor | None
) -> Tensor:
    kind = query_bhle.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        query_bhle, key_bhse, value_bhse = (
            one.to(dtype) for one in (query_bhle, key_bhse, value_bhse)
        )
    read: Tensor = _Fused.apply(query_bhle, key_bhse, value_bhse, mask)  # type: ignore[no-untyped-call]
    return read


class _Fused(torch.autograd.Function):
    """Attention that keeps its inputs, its output, and one number a query."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:  # noqa: ANN401 - torch's type
        query_bhle, key_bhse, value_bhse, _ = given
        read_bhle = (query_bhle @ key_bhse.mT) @ value_bhse
        read_bhle = read_bhle.transpose(1, 2).contiguous().transpose(1, 2)  # as the kernels do
        sums_bhl = query_bhle.new_empty(query_bhle.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(*given, read_bhle, sums_bhl)
        return read_bhle

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return tuple(
            None if one is None else torch.empty_like(one) for one in ctx.saved_tensors[:4]
        )


def _give_a_device(model: GramModel) -> None:
    """Put weights and buffers without content on the device of the block; shared ones once."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(weight.shape, dtype=weight.dtype)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _kind(model: GramModel) -> str:
    return model.temperature.device.type
