"""Chooses how far each modality is trusted: the lambdas of a trusted residual.

The similarity of a pair is ``p' (G + diag(lambdas))^-1 p``, as ``pairwise_trusted_residual`` has
it, with G the Gram matrix of the clip's vectors and p the text's dot products with them. Written
out it is a sum over pairs of modalities: a weight, which a clip has for given lambdas, times a
product of two dot products, which knows no lambdas. So the products serve all lambdas at once.

Shape letters of this file: T lambdas that are tried, Q texts, q of them at once, N clips, K
modalities, C pairs of modalities, P right pairs of a text and a clip.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gram.evaluation.ranked import RankedSet
from gram.evaluation.ranks import TIE, right_pairs

TRUSTS = (0.0, 0.25, 1.0, 4.0, math.inf)
"""Lambdas that are tried for each modality; see ``pairwise_trusted_residual``."""

PRODUCTS = 2**22
"""Products of dot products that are held at once: 16 MiB."""

Lambdas = tuple[float, ...]


def choose_trusts(judges: Sequence[RankedSet]) -> tuple[Lambdas, float]:
    """Choose the trusts, one modality after the other, twice; all begin at 1.

    Args:
        judges: Texts and clips that are ranked to choose by, of the same modalities.

    Returns:
        The lambdas, of equal ones the first that were tried, and their quality: the mean of
        1 / rank, summed over both directions and all judges.
    """
    tables = [_Table(judge) for judge in judges]
    count, known = len(judges[0].modalities), dict[Lambdas, float]()
    lambdas = (1.0,) * count
    for column in (*range(count), *range(count)):
        tried = [(*lambdas[:column], one, *lambdas[column + 1 :]) for one in TRUSTS]
        allowed = [one for one in tried if not all(map(math.isinf, one))]
        if new := [one for one in allowed if one not in known]:
            sums = torch.stack([table.qualities(new) for table in tables]).sum(dim=0)
            known |= dict(zip(new, sums.tolist(), strict=True))
        lambdas = max(allowed, key=known.__getitem__)
    return lambdas, known[lambdas]


class _Table:
    """What trusts are judged by: of all pairs the dot products, of all clips the Gram matrices."""

    def __init__(self, judge: RankedSet) -> None:
        """Take a set that is prepared."""
        there_nk1 = judge.present_nk.unsqueeze(-1)
        vectors_nkd = torch.where(there_nk1, judge.vectors_nkd, 0.0)
        self._gram_nkk = (vectors_nkd @ vectors_nkd.mT).double()
        self._gram_nkk += torch.diag_embed((~judge.present_nk).double())
        self._dots_nkq = vectors_nkd @ judge.text_qd.mT
        self._right = right_pairs(judge.text_group_q, judge.clip_group_n)

    def qualities(self, tried: Sequence[Lambdas]) -> Tensor:
        """Judge trusts in both directions, float64, shape (T,)."""
        clips, _, texts = self._dots_nkq.shape
        first, second = torch.triu_indices(*self._gram_nkk.shape[1:])
        weights_ntc = self._weights(tried)[:, :, first, second] * (2.0 - (first == second).float())
        text_p, clip_p = self._right
        dots_pk = self._dots_nkq[clip_p, :, text_p]
        products_pc1 = (dots_pk[:, first] * dots_pk[:, second]).unsqueeze(-1)
        right_tp = (weights_ntc[clip_p] @ products_pc1).squeeze(-1).mT
        forward = _Counts(right_tp, text_p, queries=texts)
        backward = _Counts(right_tp, clip_p, queries=clips)
        step = max(1, PRODUCTS // (clips * len(first)))
        for start in range(0, texts, step):
            dots_nkq = self._dots_nkq[:, :, start : start + step]
            similarity_ntq = weights_ntc @ (dots_nkq[:, first] * dots_nkq[:, second])
            forward.add(similarity_ntq.permute(1, 2, 0), slice(start, start + step))
            backward.add(similarity_ntq.transpose(0, 1), slice(0, clips))
        return forward.qualities() + backward.qualities()

    def _weights(self, tried: Sequence[Lambdas]) -> Tensor:
        """Invert the lifted Gram matrices; 0 for a muted modality. Shape (N, T, K, K)."""
        lambdas_tk = torch.tensor(tried, dtype=torch.float64)
        is_heard_tk = lambdas_tk.isfinite()
        both_tkk = is_heard_tk.unsqueeze(1) & is_heard_tk.unsqueeze(2)
        lift_tkk = torch.diag_embed(torch.where(is_heard_tk, lambdas_tk, 0.0))
        lifted_ntkk = torch.where(both_tkk, self._gram_nkk.unsqueeze(1) + lift_tkk, 0.0)
        inverse_ntkk: Tensor = torch.linalg.pinv(lifted_ntkk, hermitian=True)
        return inverse_ntkk.to(self._dots_nkq.dtype)


class _Counts:
    """Counts, for several sets of scores at once, who is nearer than the right ones; large is near.

    It is what ``rank_pairs`` counts, with queries and candidates given piece by piece.
    """

    def __init__(self, right_tp: Tensor, query_p: Tensor, *, queries: int) -> None:
        """Take the scores of the right pairs, whose queries alone count."""
        self._asked_q = torch.zeros(queries, dtype=torch.bool)
        self._asked_q[query_p] = True
        rows_tp = query_p.expand_as(right_tp)
        self._nearest_tq = right_tp.new_full((len(right_tp), queries), -torch.inf)
        self._nearest_tq.scatter_reduce_(1, rows_tp, right_tp, "amax")
        also_tp = self._nearest_tq.gather(1, rows_tp) - right_tp <= TIE
        self._nearer_tq = torch.zeros(self._nearest_tq.shape, dtype=torch.float64)
        self._within_tq = self._nearer_tq.scatter_add(1, rows_tp, -also_tp.double())

    def add(self, scores_tqc: Tensor, queries: slice) -> None:
        """Count some candidates of some queries."""
        farther_tqc = self._nearest_tq[:, queries].unsqueeze(-1) - scores_tqc
        compared_tqc = torch.empty_like(farther_tqc)
        self._nearer_tq[:, queries] += torch.lt(farther_tqc, -TIE, out=compared_tqc).sum(dim=2)
        self._within_tq[:, queries] += torch.le(farther_tqc, TIE, out=compared_tqc).sum(dim=2)

    def qualities(self) -> Tensor:
        """Give the mean of 1 / rank in each set, float64, shape (T,)."""
        mean_tq = 1 + (self._nearer_tq + self._within_tq) / 2
        return mean_tq[:, self._asked_q].reciprocal().mean(dim=1)
