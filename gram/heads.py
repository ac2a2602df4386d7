"""Behind the encoders: tokens of an item as the matching head reads them, and that head.

Shape letters: B items, U units of an item (frames or audio clips, or 1), L tokens of a unit,
D width of the text encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SPREAD = 0.02
"""Deviation of fresh vectors for units and kinds (released code)."""

NORM_EPS = 1e-12
"""Of the layer norms here, as in BERT."""


class ConditionTokens(nn.Module):
    """Tokens of one kind of input as the matching head reads them.

    LayerNorm of a linear map, plus one vector a unit (frame or audio clip), plus one of the kind.
    Another number of units than in training takes each the nearest one's vector, as in the
    released code. Subtitles have no vectors of units.
    """

    def __init__(self, width: int, *, text_width: int, units: int | None) -> None:
        """Build it for tokens of ``width``; ``units``: frames or clips in training, None: no units.

        Its parameters are ``project``, ``unit`` of shape (1, units, D) and ``kind``, (1, 1, D).
        """
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(width, text_width), nn.LayerNorm(text_width, eps=NORM_EPS)
        )
        self.unit = (
            None if units is None else nn.Parameter(torch.randn(1, units, text_width) * SPREAD)
        )
        self.kind = nn.Parameter(torch.randn(1, 1, text_width) * SPREAD)

    def forward(self, tokens_buld: Tensor) -> Tensor:
        """Give the tokens of an item in one row, units one behind the other: (B, U * L, D)."""
        tokens: Tensor = self.project(tokens_buld)
        if self.unit is not None:
            units = tokens_buld.shape[1]
            unit_bud = functional.interpolate(self.unit.mT, size=units, mode="nearest").mT
            tokens = tokens + unit_bud.unsqueeze(2)
        return tokens.flatten(1, 2) + self.kind


class MatchHead(nn.Module):
    """Two layers over the first token of text and item read together: logits (no match, match)."""

    def __init__(self, width: int) -> None:
        """Build it for the text encoder's width."""
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.layernorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.linear2 = nn.Linear(width, 2)

    def forward(self, first_bd: Tensor) -> Tensor:
        """Give logits, shape (B, 2)."""
        logits: Tensor = self.linear2(self.layernorm(functional.gelu(self.linear1(first_bd))))
        return logits
