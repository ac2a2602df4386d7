"""The nearest items of every text, found tile by tile without ever holding all distances.

Shape letters of this file: N anchors, M items, K vectors of an item, D embedding width; k items
that are wanted, n and m anchors and items of one tile.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gram.volume.checks import compute_dtype, full_precision
from gram.volume.tiles import (
    PairSettings,
    basis_of,
    dot_products,
    finish_distances,
    plan_tiles,
    write_squared_heights,
)


class Nearest(NamedTuple):
    """The nearest items of every anchor, nearest first; of equal ones the lower index.

    Attributes:
        distances_nk: Distances, float32 (float64 if an input is), shape (N, k), k at most M.
        indices_nk: Rows of the items, int64, shape (N, k).
    """

    distances_nk: Tensor
    indices_nk: Tensor


def find_nearest(
    anchors_nd: Tensor,
    vectors_mkd: Tensor,
    present_mk: Tensor | None,
    *,
    k: int,
    settings: PairSettings,
) -> Nearest:
    """Find the nearest items of every anchor; of equal distances the lower index comes first.

    Of the items seen so far the nearest are kept; they stand first when the next ones are sorted
    in, so that a stable sort keeps the rule. Arguments are those of ``nearest_items``, checked.
    """
    dtype = compute_dtype(anchors_nd, vectors_mkd)
    k = min(k, len(vectors_mkd))
    tiles = plan_tiles(anchors_nd, vectors_mkd, memory_mib=settings.memory_mib, num_kept=k)
    best = Nearest(
        anchors_nd.new_full((len(anchors_nd), k), torch.inf, dtype=dtype),
        anchors_nd.new_zeros((len(anchors_nd), k), dtype=torch.int64),
    )
    with full_precision(anchors_nd.device):
        for some in tiles.items:
            present = None if present_mk is None else present_mk[some]
            basis = basis_of(vectors_mkd[some], present, settings=settings, dtype=dtype)
            for rows in tiles.anchors:
                anchors = anchors_nd[rows].to(dtype)
                distances_nm = anchors.new_empty((len(anchors), some.stop - some.start))
                squared_nkm = dot_products(anchors, basis).square_()
                write_squared_heights(distances_nm, anchors, squared_nkm)
                finish_distances(distances_nm, basis, has_volume=settings.has_volume)
                del squared_nkm
                _sort_in(best, distances_nm, rows=rows, start=some.start)
            del basis  # before the next one is made
    return best


def _sort_in(best: Nearest, distances_nm: Tensor, *, rows: slice, start: int) -> None:
    """Put what is nearest among some items, ``start`` the first, into these rows of the best."""
    k = best.distances_nk.shape[1]
    seen = min(start, k)
    found = _smallest(distances_nm, k=min(k, distances_nm.shape[1]))
    distances = torch.cat([best.distances_nk[rows, :seen], found.distances_nk], dim=1)
    indices = torch.cat([best.indices_nk[rows, :seen], found.indices_nk + start], dim=1)
    distances, order = distances.sort(dim=1, stable=True)
    kept = min(k, distances.shape[1])
    best.distances_nk[rows, :kept] = distances[:, :kept]
    best.indices_nk[rows, :kept] = indices.gather(1, order[:, :kept])


def _smallest(distances_nm: Tensor, *, k: int) -> Nearest:
    """Find the k smallest of every row, of equal ones the lower index; k is at most M."""
    values, places = distances_nm.topk(min(k + 1, distances_nm.shape[1]), largest=False)
    if values.shape[1] > k:
        # Which of those that tie for the last place came out is up to chance: sort these rows.
        tied = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
        sorted_values, sorted_places = distances_nm[tied].sort(dim=1, stable=True)
        values[tied, :k], places[tied, :k] = sorted_values[:, :k], sorted_places[:, :k]
    places, order = places[:, :k].sort(dim=1)
    values, order = values[:, :k].gather(1, order).sort(dim=1, stable=True)
    return Nearest(values, places.gather(1, order))
