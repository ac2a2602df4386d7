"""The nearest items, against a full sort."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.volume import (
    nearest_items,
    pairwise_residual,
    pairwise_trusted_residual,
    pairwise_volume,
)

LAMBDAS = (0.0, 0.5, 2.0)
MEMORIES = pytest.mark.parametrize("memory_mib", [1e-3, 0.01, 0.1, 64.0])


def unit(*shape: int, seed: int = 0) -> Tensor:
    """Draw unit vectors in float64, where no two distances are equal by rounding."""
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1)


def equal_ones(items: int) -> tuple[Tensor, Tensor]:
    """Give axes as texts and items: every product is exact, and most distances are equal."""
    axes = torch.eye(8)
    return axes[:4], axes[torch.arange(items * 2).remainder(5)].view(items, 2, 8)


@MEMORIES
@pytest.mark.parametrize("k", [1, 2, 10, 36, 37])
def test_the_nearest_are_the_first_of_a_full_sort(k: int, memory_mib: float) -> None:
    texts_nd, items_mkd = unit(11, 16, seed=1), unit(37, 3, 16, seed=2)
    sorted_nm = pairwise_volume(texts_nd, items_mkd).sort(dim=1, stable=True)
    found = nearest_items(texts_nd, items_mkd, k=k, memory_mib=memory_mib)
    assert found.indices_nk.tolist() == sorted_nm.indices[:, :k].tolist()
    torch.testing.assert_close(found.distances_nk, sorted_nm.values[:, :k], rtol=1e-12, atol=0)


@MEMORIES
@pytest.mark.parametrize("k", [1, 3, 8, 29, 30])
def test_of_equal_distances_the_lower_index_comes_first(k: int, memory_mib: float) -> None:
    texts_nd, items_mkd = equal_ones(30)
    sorted_nm = pairwise_residual(texts_nd, items_mkd).sort(dim=1, stable=True)
    found = nearest_items(texts_nd, items_mkd, k=k, score="residual", memory_mib=memory_mib)
    assert found.indices_nk.tolist() == sorted_nm.indices[:, :k].tolist()
    assert found.distances_nk.tolist() == sorted_nm.values[:, :k].tolist()


def test_the_trusted_residual_can_search() -> None:
    texts_nd, items_mkd = unit(5, 16, seed=1), unit(20, 3, 16, seed=2)
    sorted_nm = pairwise_trusted_residual(texts_nd, items_mkd, lambdas=LAMBDAS).sort(dim=1)
    found = nearest_items(texts_nd, items_mkd, k=4, score="trusted_residual", lambdas=LAMBDAS)
    assert found.indices_nk.tolist() == sorted_nm.indices[:, :4].tolist()


def test_missing_vectors_are_not_read_in_a_search() -> None:
    texts_nd, items_mkd = unit(5, 16, seed=1), unit(20, 3, 16, seed=2)
    present_mk = torch.rand(20, 3, generator=torch.Generator().manual_seed(3)) > 0.4
    sorted_nm = pairwise_volume(texts_nd, items_mkd, present_mk=present_mk).sort(dim=1, stable=True)
    items_mkd[~present_mk] = torch.nan
    found = nearest_items(texts_nd, items_mkd, k=6, present_mk=present_mk, memory_mib=0.01)
    assert found.indices_nk.tolist() == sorted_nm.indices[:, :6].tolist()


def test_more_than_there_are_gives_all() -> None:
    found = nearest_items(unit(4, 8), unit(6, 2, 8), k=50)
    assert found.indices_nk.sort(dim=1).values.tolist() == [list(range(6))] * 4


@pytest.mark.parametrize(("texts", "items"), [(0, 6), (4, 0)], ids=["no_texts", "no_items"])
def test_nothing_gives_nothing(texts: int, items: int) -> None:
    found = nearest_items(unit(4, 8)[:texts], unit(6, 2, 8)[:items], k=3)
    assert found.indices_nk.shape == (texts, min(3, items))


def test_distances_of_a_search_have_no_gradient() -> None:
    found = nearest_items(unit(4, 8).requires_grad_(), unit(6, 2, 8), k=3)
    assert not found.distances_nk.requires_grad


def test_no_items_at_all_cannot_be_wanted() -> None:
    with pytest.raises(ValueError, match="k is the number of items to find, got 0; give 1 or"):
        nearest_items(unit(4, 8), unit(6, 2, 8), k=0)


def test_lambdas_without_the_trusted_residual_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'volume' got lambdas=\(0.0, 0.5, 2.0\); give lambdas"):
        nearest_items(unit(4, 8), unit(6, 3, 8), k=1, lambdas=LAMBDAS)


def test_the_trusted_residual_without_lambdas_is_refused() -> None:
    with pytest.raises(ValueError, match="'trusted_residual' got lambdas=None; give lambdas"):
        nearest_items(unit(4, 8), unit(6, 3, 8), k=1, score="trusted_residual")
