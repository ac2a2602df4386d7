"""The loss of one step: contrastive, and matching with hard negatives.

With several ranks a batch is a rank's share, the ranks' shares stand one behind the other in the
whole batch, and partners come from all of it.

Shape letters of this file: B items of a rank's share, N items of the whole batch, P pairs that a
rank reads, Q condition tokens, L word pieces, D width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, distributed

from gram.collectives import Gathering, any_rank, gather, num_ranks, own_rank
from gram.config import LossConfig
from gram.losses import (
    ContrastiveLoss,
    Tuples,
    area_contrastive_loss,
    cosine_contrastive_loss,
    eigenvalue_contrastive_loss,
    product_contrastive_loss,
    stack_items,
    volume_contrastive_loss,
)
from gram.matching import draw_hard_negatives, matching_loss, matching_rows
from gram.model import Encodings, GramModel
from gram.types import Batch, Embeddings, Modality, Tokens

CONTRASTS: dict[str, Callable[..., ContrastiveLoss]] = {
    "volume": volume_contrastive_loss,
    "cosine": cosine_contrastive_loss,
    "area": area_contrastive_loss,
    "eigenvalue": eigenvalue_contrastive_loss,
    "product": product_contrastive_loss,
}
"""The loss of each ``loss.kind``."""


class StepLoss(NamedTuple):
    """Parts of one step's loss, scalars: of the own share, whose mean over ranks is the batch's."""

    total: Tensor
    contrastive: ContrastiveLoss
    matching: Tensor


class Pairs(NamedTuple):
    """The pairs of text and item that a rank reads for the matching loss.

    Attributes:
        texts: Captions of the whole batch, N rows.
        condition_nqd: Condition tokens of all items, float, shape (N, Q, D).
        mask_nq: Which of them count, bool, shape (N, Q).
        text_rows: Row of each pair's text, int64, shape (P,).
        item_rows: Row of each pair's item, int64, shape (P,).
        num_right: The first pairs, whose text and item belong together.
        share: Factor of the mean over these pairs, so that the mean over ranks is the one over the
            pairs of all ranks; 1 where all ranks read the same number.
    """

    texts: Tokens
    condition_nqd: Tensor
    mask_nq: Tensor
    text_rows: Tensor
    item_rows: Tensor
    num_right: int
    share: float


def step_loss(model: GramModel, batch: Batch, config: LossConfig) -> StepLoss:
    """Compute the loss of one batch, with the graph of all of it."""
    encodings = model.encode(batch)
    contrastive = contrast(model, encodings.embeddings, config)
    if not needs_matching(contrastive, config):
        return StepLoss(contrastive.total, contrastive, torch.zeros(()))
    pairs = choose_pairs(model, encodings, contrastive, config=config)
    matching = read_pairs(model, pairs, slice(None))
    return StepLoss(contrastive.total + config.matching_weight * matching, contrastive, matching)


def contrast(model: GramModel, embeddings: Embeddings, config: LossConfig) -> ContrastiveLoss:
    """Compute the contrastive loss of a share, against the whole batch."""
    vectors_bkd, present_bk = stack_items(embeddings, model.modalities)
    own = Tuples(embeddings.vectors[Modality.TEXT], vectors_bkd, present_bk)
    return CONTRASTS[config.kind](
        own,
        temperature=model.temperature,
        label_smoothing=config.label_smoothing,
        gathered=_of_all_ranks(own, gathering=config.gather),
    )


def needs_matching(contrastive: ContrastiveLoss, config: LossConfig) -> bool:
    """Say whether pairs are read: all ranks do, or none.

    None are without a weight, where there is nothing wrong to draw, and where the contrastive loss
    is not finite, which ends the training.
    """
    if config.matching_weight == 0 or contrastive.text_distance_bn.shape[1] == 1:
        return False
    return not any_rank(not torch.isfinite(contrastive.total), device=contrastive.total.device)


def used_for_matching(model: GramModel, config: LossConfig) -> tuple[Modality, ...]:
    """Name the modalities whose tokens the matching head reads, as far as the model has them."""
    if config.matching_on == "all":
        return model.modalities
    return tuple(name for name in model.modalities if name in {Modality.VIDEO, Modality.AUDIO})


def choose_pairs(
    model: GramModel, encodings: Encodings, contrastive: ContrastiveLoss, *, config: LossConfig
) -> Pairs:
    """Choose three pairs a clip: right, wrong item, wrong text (released code).

    Wrong partners are drawn from the whole batch, for its first ``matching_clips`` or for all; its
    order is random anyway. Each rank reads an even part of the pairs. Condition tokens are gathered
    with gradient, as in the released code.
    """
    captions = encodings.captions
    condition_nqd, mask_nq, ids_nl, mask_nl = gather(
        (
            *encodings.condition_of(used_for_matching(model, config)),
            captions.ids_bl,
            captions.mask_bl,
        ),
        gathering="connected",
    )
    wrong_item, wrong_text = _draw(contrastive, temperature=float(model.temperature.detach()))
    clips = min(config.matching_clips or len(wrong_item), len(wrong_item))
    first, end = (clips * rank // num_ranks() for rank in (own_rank(), own_rank() + 1))
    text_rows, item_rows = matching_rows(wrong_item[first:end], wrong_text[first:end], first=first)
    return Pairs(
        texts=Tokens(ids_bl=ids_nl, mask_bl=mask_nl),
        condition_nqd=condition_nqd,
        mask_nq=mask_nq,
        text_rows=text_rows,
        item_rows=item_rows,
        num_right=end - first,
        share=(end - first) * num_ranks() / clips,
    )


def read_pairs(model: GramModel, pairs: Pairs, part: slice) -> Tensor:
    """Compute the share of the matching loss that some of the pairs have; all: the whole of it."""
    text_rows, item_rows = pairs.text_rows[part], pairs.item_rows[part]
    if len(text_rows) == 0:  # the others' gradients of the tokens come through here all the same
        return pairs.condition_nqd.sum() * 0
    logits = model.match(
        Tokens(ids_bl=pairs.texts.ids_bl[text_rows], mask_bl=pairs.texts.mask_bl[text_rows]),
        pairs.condition_nqd[item_rows],
        condition_mask_bq=pairs.mask_nq[item_rows],
    )
    num_right = len(range(*part.indices(pairs.num_right)))
    loss = matching_loss(logits, num_right=num_right)
    return loss * (pairs.share * len(text_rows) / len(pairs.text_rows))


def _of_all_ranks(own: Tuples, *, gathering: Gathering) -> Tuples | None:
    """Gather what the own texts and items are contrasted with; None: themselves."""
    if gathering == "connected" and num_ranks() == 1:
        return None
    given = [own.anchors_nd, own.vectors_nkd]
    if own.present_nk is not None:
        given.append(own.present_nk)
    anchors_nd, vectors_nkd, *present = gather(given, gathering=gathering)
    first = own_rank() * len(own.anchors_nd)
    return Tuples(anchors_nd, vectors_nkd, present[0] if present else None, first)


def _draw(contrastive: ContrastiveLoss, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw the wrong partners of the whole batch: rank 0 does, whatever the number of ranks."""
    distances = (contrastive.text_distance_bn, contrastive.item_distance_bn)
    text_nn, item_nn = gather(distances, gathering="detached")
    if num_ranks() == 1:
        return draw_hard_negatives(text_nn, item_nn, temperature=temperature)
    drawn_2n = torch.empty(2, len(text_nn), dtype=torch.int64, device=text_nn.device)
    if own_rank() == 0:
        drawn_2n[:] = torch.stack(draw_hard_negatives(text_nn, item_nn, temperature=temperature))
    distributed.broadcast(drawn_2n, src=0)
    return drawn_2n[0], drawn_2n[1]
