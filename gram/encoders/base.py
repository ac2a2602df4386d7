"""What every encoder gives, and how the narrow ones start.

Shape letters: B items, U units of an item (frames, audio clips, or 1), L tokens of a unit, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Features of B items, before projection into the shared space.

    Attributes:
        tokens_buld: All tokens, for the matching head, shape (B, U, L, D).
        pooled_bd: One vector an item, shape (B, D).
    """

    tokens_buld: Tensor
    pooled_bd: Tensor


def scale_initial_weights(network: nn.Module, *, width: int) -> None:
    """Scale fresh weights from the deviation that suits BERT's width to the one for this width.

    Libraries draw weights with deviation 0.02 at any width. That suits width 768; in a narrower
    network each layer then adds little, the class token hardly sees the input, and training from
    scratch rests on a plateau (docs/results.md: R@1 of 36 without this, 72 with it). At width 768
    nothing changes; in a wider network weights start smaller.

    Args:
        network: Freshly built; weights of two axes or more are scaled in place.
        width: Width of a token.
    """
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.mul_((768 / width) ** 0.5)
