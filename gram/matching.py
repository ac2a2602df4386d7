"""The matching loss: which wrong pairs are read beside the right ones, and the cross entropy.

Shape letters of this file: B items of a rank's batch, N items of all ranks.
"""

import torch
from torch import Tensor
from torch.nn import functional

NEGATIVE_FLOOR = 1e-4
"""Added to each negative's probability before drawing (released code)."""


def negative_weights(distance_bn: Tensor, *, temperature: Tensor | float, first: int = 0) -> Tensor:
    """Weigh the wrong partners of each row: near ones more, the right one not at all.

    Source: the released code. A candidate's weight is its softmax probability plus a small
    constant.

    Args:
        distance_bn: The rank's texts by all items, or its items by all texts, float, shape (B, N);
            small is near.
        temperature: Divides the distances, unitless, above 0.
        first: Column of the first row's right partner.

    Returns:
        Weights that need not sum to 1, float32, shape (B, N), without gradient.
    """
    weights_bn = (-distance_bn.detach() / temperature).float().softmax(dim=1) + NEGATIVE_FLOOR
    own_b = torch.arange(len(weights_bn), device=weights_bn.device)
    weights_bn[own_b, own_b + first] = 0
    return weights_bn.detach()


def draw_hard_negatives(
    text_distance_bn: Tensor,
    item_distance_bn: Tensor,
    *,
    temperature: Tensor | float,
    first: int = 0,
) -> tuple[Tensor, Tensor]:
    """Draw one wrong item for each text, then one wrong text for each item, by their weights.

    Draws come from torch's global generator, row after row, as in the released code.

    Args:
        text_distance_bn: The rank's texts by all items, float, shape (B, N); small is near.
        item_distance_bn: The rank's items by all texts, float, shape (B, N); small is near.
        temperature: Divides the distances, unitless, above 0.
        first: Column of the first row's right partner.

    Returns:
        Row of the item for each text, and row of the text for each item, among all ranks: int64,
        shape (B,) each.

    Raises:
        ValueError: If there is one item only, which has no wrong partner.
    """
    if text_distance_bn.shape[1] < 2:
        raise ValueError(
            "hard negatives need a batch of two items or more, got 1; use larger batches"
        )
    wrong_item_b, wrong_text_b = (
        torch.multinomial(
            negative_weights(distance_bn, temperature=temperature, first=first), 1
        ).squeeze(1)
        for distance_bn in (text_distance_bn, item_distance_bn)
    )
    return wrong_item_b, wrong_text_b


def matching_rows(
    wrong_item_b: Tensor, wrong_text_b: Tensor, *, first: int = 0
) -> tuple[Tensor, Tensor]:
    """List the pairs that the matching head reads, in the order of the released code.

    First each text with its item, then each text with the wrong item, then the wrong text of each
    item with that item.

    Args:
        wrong_item_b: Row of the wrong item of each text, int64, shape (B,).
        wrong_text_b: Row of the wrong text of each item, int64, shape (B,).
        first: Row of the own rank's first tuple.

    Returns:
        Rows of the texts, and rows of the items, among all ranks: int64, shape (3 B,) each.

    Example:
        >>> texts, items = matching_rows(torch.tensor([1, 0]), torch.tensor([1, 0]))
        >>> texts.tolist(), items.tolist()
        ([0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 0, 1])
    """
    own_b = first + torch.arange(len(wrong_item_b), device=wrong_item_b.device)
    return torch.cat([own_b, own_b, wrong_text_b]), torch.cat([own_b, wrong_item_b, own_b])


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
