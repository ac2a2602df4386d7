"""The objectives: contrastive volume loss, cosine baseline, matching loss.

Functions are pure; nothing here sees a model or other ranks.

Shape letters of this file: B items of a batch, K modalities of an item, D embedding width.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gram.types import Embeddings, Modality
from gram.volume import pairwise_volume

NEGATIVE_FLOOR = 1e-4
"""Added to each negative's probability before drawing (released code, golden behaviour 4)."""


class ContrastiveLoss(NamedTuple):
    """Both directions of a contrastive loss, scalars, in nats.

    Attributes:
        text_to_item: Each text has to pick its item.
        item_to_text: Each item has to pick its text.
        distance_bb: What was compared, detached, shape (B, B), texts by items; small is near.
    """

    text_to_item: Tensor
    item_to_text: Tensor
    distance_bb: Tensor

    @property
    def total(self) -> Tensor:
        """Mean of both directions."""
        return (self.text_to_item + self.item_to_text) / 2


def stack_items(embeddings: Embeddings, modalities: tuple[Modality, ...]) -> tuple[Tensor, Tensor]:
    """Stack an item's vectors: (B, K, D), and which of them are there: bool (B, K)."""
    vectors = torch.stack([embeddings.vectors[name] for name in modalities], dim=1)
    present = torch.stack([embeddings.present[name] for name in modalities], dim=1)
    return vectors, present


def volume_contrastive_loss(
    anchors_bd: Tensor,
    vectors_bkd: Tensor,
    *,
    present_bk: Tensor | None,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
) -> ContrastiveLoss:
    """Contrast each text's volume with its own item against those with the others.

    Source: the paper, section 3.2, losses D2A and A2D; label smoothing is the released code's.

    Args:
        anchors_bd: Texts, unit length, float, shape (B, D); row i belongs to item i.
        vectors_bkd: Items, unit length, float, shape (B, K, D), in any order of modalities.
        present_bk: Which vectors are there, bool, shape (B, K); None: all.
        temperature: Divides the volumes, unitless, above 0.
        label_smoothing: Share of the target spread over all candidates, in [0, 1].
    """
    volume_bb = pairwise_volume(anchors_bd, vectors_bkd, present_mk=present_bk)
    return _both_directions(volume_bb, temperature=temperature, label_smoothing=label_smoothing)


def cosine_contrastive_loss(
    anchors_bd: Tensor,
    vectors_bkd: Tensor,
    *,
    present_bk: Tensor | None,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
) -> ContrastiveLoss:
    """Contrast each text with each modality apart, and average over modalities.

    The usual pairwise alignment: InfoNCE between the text and one modality at a time, as in
    ImageBind and LanguageBind. Items that lack a modality take no part in that modality's term.
    ``distance_bb`` is one minus the mean cosine over the modalities that an item has.
    Arguments are those of ``volume_contrastive_loss``.

    Raises:
        ValueError: If no modality has two items, so that nothing can be contrasted.
    """
    with torch.autocast(anchors_bd.device.type, enabled=False):
        anchors_bd, vectors_bkd = anchors_bd.float(), vectors_bkd.float()
        if present_bk is None:
            present_bk = torch.ones(
                vectors_bkd.shape[:2], dtype=torch.bool, device=anchors_bd.device
            )
        terms = []
        for k in range(vectors_bkd.shape[1]):
            rows = present_bk[:, k].nonzero().squeeze(1)
            if len(rows) < 2:
                continue
            distance = 1 - anchors_bd[rows] @ vectors_bkd[rows, k].mT
            terms.append(
                _both_directions(distance, temperature=temperature, label_smoothing=label_smoothing)
            )
        if not terms:
            raise ValueError("no modality of this batch has two items; use larger batches")
        cosine_bbk = torch.einsum("nd,mkd->nmk", anchors_bd, vectors_bkd) * present_bk
        mean_bb = cosine_bbk.sum(dim=-1) / present_bk.sum(dim=-1).clamp_min(1)
    return ContrastiveLoss(
        torch.stack([term.text_to_item for term in terms]).mean(),
        torch.stack([term.item_to_text for term in terms]).mean(),
        (1 - mean_bb).detach(),
    )


def _both_directions(
    distance_bb: Tensor, *, temperature: Tensor | float, label_smoothing: float
) -> ContrastiveLoss:
    logits_bb = -distance_bb / temperature
    target_b = torch.arange(len(logits_bb), device=logits_bb.device)
    text_to_item, item_to_text = (
        functional.cross_entropy(logits, target_b, label_smoothing=label_smoothing)
        for logits in (logits_bb, logits_bb.mT)
    )
    return ContrastiveLoss(text_to_item, item_to_text, distance_bb.detach())


def draw_hard_negatives(distance_bb: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw one wrong item for each text and one wrong text for each item, near ones more often.

    A candidate's chance is proportional to its softmax probability plus a small constant; the
    right one is never drawn. Draws come from torch's global generator.

    Args:
        distance_bb: Texts by items, float, shape (B, B); small is near.
        temperature: Divides the distances, unitless, above 0.

    Returns:
        Row of the item for each text, and row of the text for each item: int64, shape (B,) each.

    Raises:
        ValueError: If the batch holds one item only, which has no wrong partner.
    """
    if len(distance_bb) < 2:
        raise ValueError("hard negatives need a batch of two items or more, got 1")
    drawn = []
    for logits_bb in (-distance_bb / temperature, -distance_bb.mT / temperature):
        weights_bb = logits_bb.float().softmax(dim=1) + NEGATIVE_FLOOR
        weights_bb.fill_diagonal_(0)
        drawn.append(torch.multinomial(weights_bb, 1).squeeze(1))
    return drawn[0], drawn[1]


def matching_loss(match_logits: Tensor, *, num_right: int) -> Tensor:
    """Cross entropy of the matching head: the first ``num_right`` pairs match, the rest do not.

    Source: the paper, section 3.2, loss DAM.

    Args:
        match_logits: Logits of "no match" and "match", float, shape (pairs, 2).
        num_right: Number of right pairs; they stand first.

    Returns:
        Scalar, in nats.
    """
    target = torch.zeros(len(match_logits), dtype=torch.int64, device=match_logits.device)
    target[:num_right] = 1
    return functional.cross_entropy(match_logits.float(), target)
