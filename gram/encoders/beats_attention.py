"""Self-attention of BEATs: a bias by distance, which each query turns up or down.

Shape letters: B items, H heads, L tokens, D width, E width of a head, N distances.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

GATE_WIDTH = 8
"""Numbers that a query gives for its two gates: each is the sum of four of them."""


def distance_buckets(distance_n: Tensor, *, buckets: int, max_distance: int) -> Tensor:
    """Sort distances between tokens into buckets, which get coarser the longer the distance is.

    One half of the buckets is for keys behind the query, the other for those in front. Of each
    half, the first half holds one distance a bucket, the rest is spaced by logarithms.

    Args:
        distance_n: Place of the key less that of the query, int64, any shape.
        buckets: Number of buckets, at least 4.
        max_distance: From this distance on, all share the last bucket of their half.

    Returns:
        Number of the bucket, int64, in [0, buckets), of the same shape.

    Example:
        >>> distance_buckets(torch.tensor([-9, -1, 0, 1, 9]), buckets=8, max_distance=6).tolist()
        [3, 1, 0, 5, 7]
    """
    half = buckets // 2
    exact = half // 2
    length_n = distance_n.abs()
    # At distance 0 the logarithm is infinite; that bucket is not read, but must be a number.
    share_n = torch.log(length_n.clamp_min(1).float() / exact) / math.log(max_distance / exact)
    coarse_n = (exact + (share_n * (half - exact)).long()).clamp_max(half - 1)
    return torch.where(length_n < exact, length_n, coarse_n) + half * (distance_n > 0)


class GatedAttention(nn.Module):
    """Attention whose logits get a bias by distance, times a gate of each query and head.

    Names of weights are those of the released checkpoint. The table of the bias stands in every
    layer of it, though it is one: the network shares the module among its layers.
    """

    def __init__(self, *, width: int, heads: int, buckets: int, dropout: float) -> None:
        """Build the projections, the gate, and a table of one bias a bucket and head."""
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))
        self.relative_attention_bias = nn.Embedding(buckets, heads)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.grep_linear = nn.Linear(width // heads, GATE_WIDTH)

    def bias(self, tokens: int, *, max_distance: int) -> Tensor:
        """Give the bias of a number of tokens before any gate: float, shape (H, L, L)."""
        table = self.relative_attention_bias
        place_l = torch.arange(tokens, device=table.weight.device)
        bucket_ll = distance_buckets(
            place_l.unsqueeze(0) - place_l.unsqueeze(1),
            buckets=table.num_embeddings,
            max_distance=max_distance,
        )
        bias_hll: Tensor = table(bucket_ll).permute(2, 0, 1)
        return bias_hll

    def gate(self, query_bhle: Tensor) -> Tensor:
        """Give how much each query takes of the bias, above 0: shape (B, H, L, 1).

        The query is the one before attention's scaling.
        """
        parts = self.grep_linear(query_bhle).unflatten(-1, (2, GATE_WIDTH // 2)).sum(dim=-1)
        update_bhl1, reset_bhl1 = parts.sigmoid().chunk(2, dim=-1)
        gate_bhl1: Tensor = update_bhl1 * (reset_bhl1 * self.grep_a - 1) + 2
        return gate_bhl1

    def forward(self, tokens_bld: Tensor, bias_hll: Tensor) -> Tensor:
        """Attend among the tokens of each item: shape (B, L, D) in and out."""
        query_bhle, key_bhle, value_bhle = (
            project(tokens_bld).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias_bhll = self.gate(query_bhle) * bias_hll
        read_bhle = functional.scaled_dot_product_attention(
            query_bhle,
            key_bhle,
            value_bhle,
            attn_mask=bias_bhll.to(query_bhle.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        read_bld: Tensor = self.out_proj(read_bhle.transpose(1, 2).flatten(2))
        return read_bld
