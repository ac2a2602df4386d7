"""Gradients of one step: of the whole batch at once, or of a few items at a time.

A few at a time ("gradient caching"): the vectors of all items are computed without a graph, the
loss over the whole batch gives a gradient for each vector, and then each few items are encoded
again, with a graph, to hand those gradients on to the weights. It is the gradient of the whole
batch, in the memory of a few items, for one more forward pass. What a part draws at random, such
as dropout, it draws again in its second pass.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from gram.config import LossConfig
from gram.model import Encodings, GramModel
from gram.training.precision import Precision
from gram.training.random_states import TorchStates
from gram.training.step import (
    Pairs,
    StepLoss,
    choose_pairs,
    contrast,
    needs_matching,
    read_pairs,
    step_loss,
    used_for_matching,
)
from gram.types import Batch, Embeddings, Modality


def add_gradients(
    model: GramModel,
    batch: Batch,
    config: LossConfig,
    *,
    precision: Precision,
    micro_batch: int | None = None,
) -> StepLoss:
    """Add the gradient of a batch's loss to the weights', scaled as the precision needs it.

    Args:
        model: The weights.
        batch: The batch; with several ranks, this rank's share of it.
        config: The objective.
        precision: What the encoders compute in.
        micro_batch: Items, and pairs for matching, that have a graph at the same time; None: all.

    Returns:
        The loss, with its parts, detached or with a graph that is used up.
    """
    if micro_batch is not None and micro_batch < len(batch.clip_ids):
        return _add_in_parts(model, batch, config, precision=precision, size=micro_batch)
    with precision.autocast():
        loss = step_loss(model, batch, config)
    _backward(loss.total, precision)
    return loss


def _add_in_parts(
    model: GramModel, batch: Batch, config: LossConfig, *, precision: Precision, size: int
) -> StepLoss:
    device = model.temperature.device
    states: list[TorchStates] = []
    encoded: list[Encodings] = []
    for part in _parts(len(batch.clip_ids), size):
        states.append(TorchStates.now(device))
        with torch.no_grad(), precision.autocast():
            encoded.append(_needed(model.encode(batch.rows(part)), model, config))
    whole = _joined(encoded)
    del encoded
    loss = _loss_of(model, whole, config, precision=precision, size=size)
    after = TorchStates.now(device)
    for part, state in zip(_parts(len(batch.clip_ids), size), states, strict=True):
        state.restore(device)
        with precision.autocast():
            again = model.encode(batch.rows(part))
        _hand_on(again, whole, part)
    after.restore(device)
    return loss


def _loss_of(
    model: GramModel, whole: Encodings, config: LossConfig, *, precision: Precision, size: int
) -> StepLoss:
    """Compute the loss over all vectors, and the gradients of them and of the matching head."""
    contrastive = contrast(model, whole.embeddings, config)
    is_matched = needs_matching(contrastive, config)
    _backward(contrastive.total, precision)
    if not is_matched:
        return StepLoss(contrastive.total.detach(), contrastive, torch.zeros(()))
    pairs = choose_pairs(model, whole, contrastive, config=config)
    # Tokens of all ranks are gathered once, and their gradients handed back once.
    tokens_nqd = pairs.condition_nqd
    pairs = pairs._replace(condition_nqd=tokens_nqd.detach().requires_grad_())
    matching = _add_matching(model, pairs, config, precision=precision, size=size)
    gradient_nqd = pairs.condition_nqd.grad
    assert gradient_nqd is not None  # noqa: S101 - every rank reads pairs, or adds 0
    torch.autograd.backward(tokens_nqd, gradient_nqd)
    total = contrastive.total.detach() + config.matching_weight * matching
    return StepLoss(total, contrastive, matching)


def _add_matching(
    model: GramModel, pairs: Pairs, config: LossConfig, *, precision: Precision, size: int
) -> Tensor:
    """Read a few pairs at a time; give the loss of all, detached."""
    losses = []
    for part in list(_parts(len(pairs.text_rows), size)) or [slice(0)]:
        with precision.autocast():
            matching = read_pairs(model, pairs, part)
        _backward(config.matching_weight * matching, precision)
        losses.append(matching.detach())
    return torch.stack(losses).sum()


def _hand_on(again: Encodings, whole: Encodings, part: slice) -> None:
    """Hand the gradients of a part's vectors and tokens on to the weights."""
    pairs = [
        *_named_alike(again.embeddings.vectors, whole.embeddings.vectors),
        *_named_alike(again.condition, whole.condition),
    ]
    reached = [
        (tensor, leaf.grad[part])
        for tensor, leaf in pairs
        if leaf.grad is not None and tensor.requires_grad
    ]
    if reached:
        tensors, gradients = zip(*reached, strict=True)
        torch.autograd.backward(tensors, gradients)


def _named_alike(
    some: dict[Modality, Tensor], others: dict[Modality, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    return [(some[name], others[name]) for name in others]


def _needed(encodings: Encodings, model: GramModel, config: LossConfig) -> Encodings:
    """Leave out the tokens that no pair is read with: they are most of the memory."""
    used = used_for_matching(model, config) if config.matching_weight > 0 else ()
    return Encodings(
        embeddings=encodings.embeddings,
        captions=encodings.captions,
        condition={name: one for name, one in encodings.condition.items() if name in used},
    )


def _joined(parts: list[Encodings]) -> Encodings:
    """Join the encodings of all parts, as leaves that take a gradient."""

    def joined(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors).requires_grad_()

    first = parts[0]
    return Encodings(
        embeddings=Embeddings(
            vectors={
                name: joined([part.embeddings.vectors[name] for part in parts])
                for name in first.embeddings.vectors
            },
            present={
                name: torch.cat([part.embeddings.present[name] for part in parts])
                for name in first.embeddings.present
            },
        ),
        captions=type(first.captions)(
            ids_bl=torch.cat([part.captions.ids_bl for part in parts]),
            mask_bl=torch.cat([part.captions.mask_bl for part in parts]),
        ),
        condition={
            name: joined([part.condition[name] for part in parts]) for name in first.condition
        },
    )


def _parts(count: int, size: int) -> Iterator[slice]:
    """Cut rows in parts of ``size``; the last one may be smaller."""
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def _backward(loss: Tensor, precision: Precision) -> None:
    precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call] # torch leaves it so
