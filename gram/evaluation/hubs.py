"""Hubs: candidates that are near to every query, and what is taken off them.

A candidate's score with a query is lowered by how near the candidate is to a bank of other
queries: ``s - weight * log(sum over the bank of exp(beta * s_bank)) / beta``, with ``s`` on a scale
of cosines and ``beta`` an inverse temperature. That is the logarithm of a softmax over the bank.

bank: the bank are texts (for the other direction, clips) that are not ranked. Source: QB-Norm
(Bogolin and others, CVPR 2022).
dual_softmax: the bank are the queries that are ranked, which all count at once, so that the place
of one depends on the others: it is *transductive*. Source: CAMoE (Cheng and others, 2021).

Shape letters of this file: B queries of the bank, C candidates.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Softmax(NamedTuple):
    """How hubs are corrected in one direction.

    Attributes:
        beta: Inverse temperature, above 0, per unit of cosine.
        weight: Share of the correction that is taken off, from 0 on.
    """

    beta: float
    weight: float


def hub_offsets(
    scores_of: Callable[[slice], Tensor],
    num_queries: int,
    *,
    softmax: Softmax,
    chunk_queries: int,
) -> Tensor:
    """Compute what is taken off every candidate, some queries of the bank at a time.

    Args:
        scores_of: Gives the scores of some queries of the bank with all candidates, on a scale of
            cosines, shape (b, C).
        num_queries: B.
        softmax: Inverse temperature and weight.
        chunk_queries: Queries of the bank whose scores are held at once.

    Returns:
        Offsets, float64, shape (C,).

    Raises:
        ValueError: If the bank is empty.

    Example:
        >>> scores_bc = torch.tensor([[0.1, 0.9], [0.1, 0.7]])
        >>> offsets_c = hub_offsets(
        ...     lambda b: scores_bc[b], 2, softmax=Softmax(20, 1), chunk_queries=1
        ... )
        >>> offsets_c.round(decimals=3)
        tensor([0.1350, 0.9010], dtype=torch.float64)
    """
    if not num_queries:
        raise ValueError("the bank is empty; give it texts and clips of another split")
    parts = [
        torch.logsumexp(softmax.beta * scores_of(slice(start, start + chunk_queries)).double(), 0)
        for start in range(0, num_queries, chunk_queries)
    ]
    return softmax.weight / softmax.beta * torch.logsumexp(torch.stack(parts), dim=0)
