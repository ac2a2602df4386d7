"""The contrastive losses of several similarities.

Functions are pure; nothing here sees a model or other ranks. On several ranks they are given the
own rank's texts and items and those of all ranks.

Shape letters of this file: B items of a rank's batch, N items of all ranks, K modalities of an
item, D embedding width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gram.similarities import (
    pairwise_area,
    pairwise_mean_cosine,
    pairwise_product,
    tuple_spectrum,
)
from gram.types import Embeddings, Modality
from gram.volume import pairwise_volume

EIGENVALUE_TEMPERATURE = 0.05
"""Divides the singular values of a tuple in PMRL's first term (its released code: 0.05 or 0.01)."""


class Tuples(NamedTuple):
    """Texts and items, row by row; those of all ranks are what a rank's own are contrasted with.

    Attributes:
        anchors_nd: Texts, unit length, float, shape (N, D); row i belongs to item i.
        vectors_nkd: Items, unit length, float, shape (N, K, D).
        present_nk: Which vectors are there, bool, shape (N, K); None: all.
        first: Row of the own rank's first tuple among these.
    """

    anchors_nd: Tensor
    vectors_nkd: Tensor
    present_nk: Tensor | None = None
    first: int = 0


class ContrastiveLoss(NamedTuple):
    """Parts of a contrastive loss, scalars in nats, and what was compared.

    Attributes:
        text_to_item: Each of the rank's texts has to pick its item among all.
        item_to_text: Each of the rank's items has to pick its text among all.
        alignment: What pulls a tuple together without contrast; 0 in most losses.
        text_distance_bn: The rank's texts by all items, detached, shape (B, N); small is near.
        item_distance_bn: The rank's items by all texts, detached, shape (B, N); small is near.
    """

    text_to_item: Tensor
    item_to_text: Tensor
    alignment: Tensor
    text_distance_bn: Tensor
    item_distance_bn: Tensor

    @property
    def total(self) -> Tensor:
        """Mean of both directions, and the alignment."""
        return (self.text_to_item + self.item_to_text) / 2 + self.alignment


def stack_items(embeddings: Embeddings, modalities: tuple[Modality, ...]) -> tuple[Tensor, Tensor]:
    """Stack an item's vectors: (B, K, D), and which of them are there: bool (B, K)."""
    vectors = torch.stack([embeddings.vectors[name] for name in modalities], dim=1)
    present = torch.stack([embeddings.present[name] for name in modalities], dim=1)
    return vectors, present


def volume_contrastive_loss(
    own: Tuples,
    *,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
    gathered: Tuples | None = None,
) -> ContrastiveLoss:
    """Contrast each text's volume with its own item against those with the others.

    Source: the paper, section 3.2, losses D2A and A2D; label smoothing is the released code's.
    The own texts are compared with all items, and all texts with the own items. If what was
    gathered carries no gradient, texts learn from the first and items from the second.

    Args:
        own: Texts and items of this batch, B of them, with the modalities in any order.
        temperature: Divides the volumes, unitless, above 0.
        label_smoothing: Share of the target spread over all candidates, in [0, 1].
        gathered: Texts and items of all ranks; None: those of this batch, with gradient.

    Example:
        >>> texts, clips = torch.eye(4)[:2], torch.eye(4)[:2].unsqueeze(1)
        >>> loss = volume_contrastive_loss(Tuples(texts, clips), temperature=0.07)
        >>> loss.text_distance_bn  # a text with its own clip spans nothing
        tensor([[0., 1.],
                [1., 0.]])
    """
    return _contrast(
        pairwise_volume, own, gathered, temperature=temperature, label_smoothing=label_smoothing
    )


def area_contrastive_loss(
    own: Tuples,
    *,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
    gathered: Tuples | None = None,
) -> ContrastiveLoss:
    """Contrast the area of the triangle of text, and two modalities of an item.

    Source: TRIANGLE (NeurIPS 2025, arXiv 2509.24734), with the root in the area as in the paper;
    its released code leaves it out. Arguments are those of ``volume_contrastive_loss``, with K of
    2 and nothing missing; errors are those of ``pairwise_area``.
    """
    return _contrast(
        pairwise_area, own, gathered, temperature=temperature, label_smoothing=label_smoothing
    )


def product_contrastive_loss(
    own: Tuples,
    *,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
    gathered: Tuples | None = None,
) -> ContrastiveLoss:
    """Contrast the multilinear inner product of a text with all of an item's vectors.

    Source: Symile (NeurIPS 2024, arXiv 2411.01053). There every modality is the anchor in turn,
    and a negative mixes the modalities of several items. Ours: text is the anchor, and a negative
    is another item with all its vectors, or another text. Products of unit vectors are small, about
    ``D ** (-K / 2)`` for random ones, so the temperature has to be lower than with cosines.
    Nor is it largest for equal vectors: entries below 0 count against a product of three.
    The distance is one minus the product. Arguments are those of ``volume_contrastive_loss``.
    """
    return _contrast(
        _product_distance, own, gathered, temperature=temperature, label_smoothing=label_smoothing
    )


def eigenvalue_contrastive_loss(
    own: Tuples,
    *,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
    gathered: Tuples | None = None,
) -> ContrastiveLoss:
    """Pull up the largest singular value of each tuple, and keep the tuples' directions apart.

    Source: PMRL (arXiv 2507.17343). With ``s`` the singular values of text and item stacked, and
    ``u`` the unit direction of the largest, the loss of tuple i is
    ``-log softmax(s / EIGENVALUE_TEMPERATURE)[largest]``, the alignment, plus
    ``-log softmax_j(u_i . u_j / temperature)[i]``. The Gram matrix has the squares of ``s`` as
    its eigenvalues.

    Ours: the sign and the gradient of a direction (``tuple_spectrum``), values of missing vectors
    are left out of the softmax, and the second temperature is learned; the first is fixed, since
    the alignment would fall with it. Both directions of the contrast are the same number. The
    distances are one minus the mean cosine of text and item.
    Arguments are those of ``volume_contrastive_loss``; smoothing acts on the contrast alone.
    """
    everyone = own if gathered is None else gathered
    with torch.autocast(own.anchors_nd.device.type, enabled=False):
        values_bj, directions_bd = _spectrum(own)
        directions_nd = directions_bd if everyone is own else _spectrum(everyone)[1]
        logits_bn = directions_bd @ directions_nd.mT / temperature
        target_b = everyone.first + torch.arange(len(logits_bn), device=logits_bn.device)
        contrast = functional.cross_entropy(logits_bn, target_b, label_smoothing=label_smoothing)
        values_bj = values_bj / EIGENVALUE_TEMPERATURE
        alignment = functional.cross_entropy(values_bj, torch.zeros_like(target_b))
    text_bn, item_bn = _both_ways(_cosine_distance, own, everyone)
    return ContrastiveLoss(contrast, contrast, alignment, text_bn.detach(), item_bn.detach())


def cosine_contrastive_loss(
    own: Tuples,
    *,
    temperature: Tensor | float,
    label_smoothing: float = 0.0,
    gathered: Tuples | None = None,
) -> ContrastiveLoss:
    """Contrast each text with each modality apart, and average over modalities.

    The usual pairwise alignment: InfoNCE between the text and one modality at a time, as in
    ImageBind and LanguageBind. Items that lack a modality take no part in that modality's term.
    The distances are one minus the mean cosine over the modalities that an item has.
    Arguments are those of ``volume_contrastive_loss``.

    Raises:
        ValueError: If no modality has two items, so that nothing can be contrasted.
    """
    everyone = own if gathered is None else gathered
    terms = []
    for k in range(own.vectors_nkd.shape[1]):
        mine, my_rows = _of_modality(own, k)
        theirs, their_rows = (mine, my_rows) if everyone is own else _of_modality(everyone, k)
        if len(their_rows) < 2 or len(my_rows) == 0:
            continue
        target_b = torch.searchsorted(their_rows, my_rows + everyone.first)
        distances = _both_ways(_cosine_distance, mine, theirs)
        terms.append(
            _cross_entropies(
                distances, target_b, temperature=temperature, label_smoothing=label_smoothing
            )
        )
    if not terms:
        raise ValueError("no modality of this batch has two items; use larger batches")
    text_bn, item_bn = _both_ways(_cosine_distance, own, everyone)
    text_to_item, item_to_text = (torch.stack(way).mean() for way in zip(*terms, strict=True))
    none = torch.zeros_like(text_to_item)
    return ContrastiveLoss(text_to_item, item_to_text, none, text_bn.detach(), item_bn.detach())


Distance = Callable[..., Tensor]
"""Anchors, vectors and ``present_mk`` to distances, shape (N, M); small is near."""


def _contrast(
    distance: Distance,
    own: Tuples,
    gathered: Tuples | None,
    *,
    temperature: Tensor | float,
    label_smoothing: float,
) -> ContrastiveLoss:
    everyone = own if gathered is None else gathered
    text_bn, item_bn = _both_ways(distance, own, everyone)
    target_b = everyone.first + torch.arange(len(text_bn), device=text_bn.device)
    text_to_item, item_to_text = _cross_entropies(
        (text_bn, item_bn), target_b, temperature=temperature, label_smoothing=label_smoothing
    )
    none = torch.zeros_like(text_to_item)
    return ContrastiveLoss(text_to_item, item_to_text, none, text_bn.detach(), item_bn.detach())


def _both_ways(distance: Distance, own: Tuples, everyone: Tuples) -> tuple[Tensor, Tensor]:
    """Give the distances of the own texts from all items, and of the own items from all texts."""
    text_bn = distance(own.anchors_nd, everyone.vectors_nkd, present_mk=everyone.present_nk)
    if everyone is own:
        return text_bn, text_bn.mT
    text_nb = distance(everyone.anchors_nd, own.vectors_nkd, present_mk=own.present_nk)
    return text_bn, text_nb.mT


def _cross_entropies(
    distances: tuple[Tensor, Tensor],
    target_b: Tensor,
    *,
    temperature: Tensor | float,
    label_smoothing: float,
) -> tuple[Tensor, Tensor]:
    text_to_item, item_to_text = (
        functional.cross_entropy(
            -distance_bn / temperature, target_b, label_smoothing=label_smoothing
        )
        for distance_bn in distances
    )
    return text_to_item, item_to_text


def _cosine_distance(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None
) -> Tensor:
    return 1 - pairwise_mean_cosine(anchors_nd, vectors_mkd, present_mk=present_mk)


def _product_distance(
    anchors_nd: Tensor, vectors_mkd: Tensor, *, present_mk: Tensor | None
) -> Tensor:
    return 1 - pairwise_product(anchors_nd, vectors_mkd, present_mk=present_mk)


def _of_modality(tuples: Tuples, k: int) -> tuple[Tuples, Tensor]:
    """Take the tuples that have modality ``k``, with that vector alone, and their rows."""
    vectors_n1d = tuples.vectors_nkd[:, k : k + 1]
    if tuples.present_nk is None:
        rows = torch.arange(len(vectors_n1d), device=vectors_n1d.device)
    else:
        rows = tuples.present_nk[:, k].nonzero().squeeze(1)
    return Tuples(tuples.anchors_nd[rows], vectors_n1d[rows], None), rows


def _spectrum(tuples: Tuples) -> tuple[Tensor, Tensor]:
    """Give singular values, those of missing vectors at minus infinity, and leading directions."""
    vectors = torch.cat([tuples.anchors_nd.unsqueeze(1), tuples.vectors_nkd], dim=1)
    if tuples.present_nk is None:
        values_nj, directions_nd = tuple_spectrum(vectors)
        return values_nj, directions_nd
    present = functional.pad(tuples.present_nk, (1, 0), value=True)
    values_nj, directions_nd = tuple_spectrum(vectors, present_bk=present)
    places_j = torch.arange(vectors.shape[1], device=vectors.device)
    is_missing_nj = places_j >= present.sum(dim=1, keepdim=True)
    return values_nj.masked_fill(is_missing_nj, float("-inf")), directions_nd
