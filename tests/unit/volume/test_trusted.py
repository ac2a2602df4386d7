"""The residual with trusts, against the solution of linear equations in float64."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.volume import pairwise_residual, pairwise_trusted_residual

CHOICES = {
    "all": (0.0, 0.0, 0.0),
    "one": (0.0, 1.0, 1.0),
    "little": (1e-3, 1e-6, 0.0),
    "much": (0.3, 30.0, 3000.0),
}
TRUSTS = pytest.mark.parametrize("lambdas", CHOICES.values(), ids=CHOICES.keys())


def unit(*shape: int, seed: int = 0) -> Tensor:
    """Draw unit vectors in float64."""
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1)


def solved(texts_nd: Tensor, items_mkd: Tensor, lambdas: tuple[float, ...]) -> Tensor:
    """Give the distances by one linear equation for each pair, shape (N, M)."""
    distances = [
        [
            math.sqrt(
                max(
                    text @ text
                    - (item @ text)
                    @ np.linalg.solve(item @ item.T + np.diag(lambdas), item @ text),
                    0.0,
                )
            )
            for item in items_mkd.numpy()
        ]
        for text in texts_nd.numpy()
    ]
    return torch.tensor(distances, dtype=torch.float64)


@TRUSTS
def test_distances_are_those_of_the_linear_equations(lambdas: tuple[float, ...]) -> None:
    texts_nd, items_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    distance_nm = pairwise_trusted_residual(texts_nd, items_mkd, lambdas=lambdas)
    torch.testing.assert_close(
        distance_nm, solved(texts_nd, items_mkd, lambdas), rtol=1e-10, atol=0
    )


@TRUSTS
def test_vectors_of_any_length_are_taken_as_they_are(lambdas: tuple[float, ...]) -> None:
    texts_nd, items_mkd = 3 * unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    items_mkd *= torch.tensor([0.2, 1.0, 7.0]).view(3, 1)
    distance_nm = pairwise_trusted_residual(texts_nd, items_mkd, lambdas=lambdas)
    torch.testing.assert_close(
        distance_nm, solved(texts_nd, items_mkd, lambdas), rtol=1e-10, atol=0
    )


@TRUSTS
def test_the_gradient_is_that_of_finite_differences(lambdas: tuple[float, ...]) -> None:
    present_mk = torch.tensor([[True, True, True], [True, False, True]])
    inputs = (unit(2, 6, seed=1).requires_grad_(), unit(2, 3, 6, seed=2).requires_grad_())
    assert torch.autograd.gradcheck(
        lambda texts, items: pairwise_trusted_residual(
            texts, items, lambdas=lambdas, present_mk=present_mk, memory_mib=1e-3
        ),
        inputs,
    )


@pytest.mark.parametrize("kind", ["random", "equal", "zero"])
def test_full_trust_is_the_residual(kind: str) -> None:
    items_mkd = unit(7, 3, 12, seed=2)
    if kind != "random":
        items_mkd[:, 2] = items_mkd[:, 1] if kind == "equal" else 0
    texts_nd = unit(5, 12, seed=1)
    trusted_nm = pairwise_trusted_residual(texts_nd, items_mkd, lambdas=(0, 0, 0))
    assert trusted_nm.tolist() == pairwise_residual(texts_nd, items_mkd).tolist()


@pytest.mark.parametrize("muted", [1e30, math.inf])
def test_no_trust_is_as_if_the_vector_were_missing(muted: float) -> None:
    texts_nd, items_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    present_mk = torch.tensor([True, False, True]).expand(7, 3)
    torch.testing.assert_close(
        pairwise_trusted_residual(texts_nd, items_mkd, lambdas=(0, muted, 0)),
        pairwise_residual(texts_nd, items_mkd, present_mk=present_mk),
    )


def test_a_missing_vector_is_not_read() -> None:
    texts_nd, items_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    present_mk = torch.tensor([True, False, True]).expand(7, 3)
    expected_nm = solved(texts_nd, items_mkd[:, [0, 2]], (0.5, 2.0))
    items_mkd[:, 1] = torch.nan
    distance_nm = pairwise_trusted_residual(
        texts_nd, items_mkd, lambdas=(0.5, 1.0, 2.0), present_mk=present_mk
    )
    torch.testing.assert_close(distance_nm, expected_nm)


def test_less_trust_puts_items_farther_away() -> None:
    texts_nd, items_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    near_nm, far_nm = (
        pairwise_trusted_residual(texts_nd, items_mkd, lambdas=(0, one, 0)) for one in (0.1, 1.0)
    )
    assert (near_nm < far_nm).all()


def test_lambdas_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="an item has 3 vectors, got 2 lambdas; give one for each"):
        pairwise_trusted_residual(unit(2, 8), unit(2, 3, 8), lambdas=(0, 0))


@pytest.mark.parametrize("wrong", [-0.1, math.nan])
def test_lambdas_below_0_are_refused(wrong: float) -> None:
    with pytest.raises(
        ValueError, match=r"lambdas are trusts from 0 on, got \[0.0, .*\]; 0 trusts"
    ):
        pairwise_trusted_residual(unit(2, 8), unit(2, 2, 8), lambdas=(0, wrong))
