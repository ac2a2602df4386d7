"""Whitening: vectors of a modality moved and stretched so that those of other clips fill all sides.

Vectors of one modality stand in a narrow cone, whose middle is near to everything. Of the clips
that are fitted on, mean and covariance of each modality are taken; its vectors are then
``unit((x - mean) (C + shrinkage * mean eigenvalue of C)^-1/2)``. A large shrinkage leaves little
but the subtraction of the mean.

Shape letters of this file: R rows, N clips, K modalities, D embedding width, E axes.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.evaluation.ranked import RankedSet

FEWEST_ROWS = 2
"""Vectors that a covariance needs; a modality with fewer of them stays as it is."""

EMPTY = 1e-12
"""Share of the largest variance below which there is none, but what rounding left."""


class Whitening(NamedTuple):
    """Maps of the texts and of each modality.

    Attributes:
        text: Mean, shape (D,), and map, shape (D, D), of the texts.
        items: The same of each modality, in the order of the set that it was fitted on.
        shrinkage: What was added to the covariances, in units of their mean eigenvalues.
    """

    text: tuple[Tensor, Tensor]
    items: tuple[tuple[Tensor, Tensor], ...]
    shrinkage: float

    def of(self, ranked: RankedSet) -> RankedSet:
        """Whiten texts and clips; the vectors are of unit length again."""
        vectors_nkd = [
            _whitened(ranked.vectors_nkd[:, column], one) for column, one in enumerate(self.items)
        ]
        return replace(
            ranked,
            text_qd=_whitened(ranked.text_qd, self.text),
            vectors_nkd=torch.stack(vectors_nkd, dim=1),
        )


class ModalitySpread(NamedTuple):
    """How vectors of one modality are spread.

    Attributes:
        mean_d: Their mean, shape (D,).
        variance_e: Eigenvalues of their covariance that are not 0, float64, shape (E,), where E
            is below the number of vectors and at most D.
        axes_de: Their eigenvectors, orthonormal, float64, shape (D, E).
    """

    mean_d: Tensor
    variance_e: Tensor
    axes_de: Tensor


class Spread(NamedTuple):
    """How vectors are spread, of texts and of each modality.

    Attributes:
        text: Of the texts; None of too few.
        items: The same of each modality.
        width: D.
    """

    text: ModalitySpread | None
    items: tuple[ModalitySpread | None, ...]
    width: int

    def whitening(self, shrinkage: float) -> Whitening:
        """Give the maps that make the spread even.

        Args:
            shrinkage: What is added to the covariance, in units of its mean eigenvalue, above 0.

        Raises:
            ValueError: If the shrinkage is not above 0.
        """
        if not shrinkage > 0:
            raise ValueError(f"the shrinkage of a whitening is above 0, got {shrinkage}")
        text, *items = (
            _map(one, shrinkage=shrinkage, width=self.width) for one in (self.text, *self.items)
        )
        return Whitening(text=text, items=tuple(items), shrinkage=shrinkage)


def spread_of(ranked: RankedSet) -> Spread:
    """Take means and covariances of texts and clips, over the vectors that are there.

    Args:
        ranked: What is fitted on: not the clips that are ranked.
    """
    items = [
        _spread(ranked.vectors_nkd[ranked.present_nk[:, column], column])
        for column in range(len(ranked.modalities))
    ]
    width = ranked.text_qd.shape[1]
    return Spread(text=_spread(ranked.text_qd), items=tuple(items), width=width)


def _spread(rows_rd: Tensor) -> ModalitySpread | None:
    """Take mean and covariance; of few vectors from their own products, whose number counts."""
    count, width = rows_rd.shape
    if count < FEWEST_ROWS:
        return None
    mean_d = rows_rd.mean(dim=0)
    moved_rd = (rows_rd - mean_d).double() / count**0.5
    is_wide = count < width
    variance_e, axes = torch.linalg.eigh(
        moved_rd @ moved_rd.mT if is_wide else moved_rd.mT @ moved_rd
    )
    kept_e = variance_e > EMPTY * variance_e[-1]
    variance_e, axes = variance_e[kept_e], axes[:, kept_e]
    if is_wide:
        axes = moved_rd.mT @ axes / variance_e.sqrt()
    return ModalitySpread(mean_d, variance_e, axes)


def _map(spread: ModalitySpread | None, *, shrinkage: float, width: int) -> tuple[Tensor, Tensor]:
    """Give mean and map: along the axes as their variances ask for, across all of them alike."""
    if spread is None:
        return torch.zeros(width), torch.eye(width)
    mean_d, variance_e, axes_de = spread
    floor = shrinkage * (variance_e.sum() / width).clamp_min(torch.finfo(torch.float32).tiny)
    along_e = (variance_e + floor).rsqrt() - floor.rsqrt()
    map_dd = (axes_de * along_e) @ axes_de.mT
    map_dd.diagonal().add_(floor.rsqrt())
    return mean_d, map_dd.to(mean_d.dtype)


def _whitened(rows_rd: Tensor, whitening: tuple[Tensor, Tensor]) -> Tensor:
    mean_d, map_dd = whitening
    return normalize((rows_rd - mean_d) @ map_dd, dim=-1)
