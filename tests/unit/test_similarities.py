"""Areas, eigenvalues, products and cosines, against numpy pair by pair, and their gradients."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gram import similarities
from gram.similarities import (
    FLOOR,
    pairwise_area,
    pairwise_leading_eigenvalue,
    pairwise_mean_cosine,
    pairwise_product,
    tuple_spectrum,
)

Floats = NDArray[np.float64]
Pairwise = Callable[..., Tensor]

EVERY = pytest.mark.parametrize(
    "similarity",
    [pairwise_area, pairwise_leading_eigenvalue, pairwise_mean_cosine, pairwise_product],
)
MASKABLE = pytest.mark.parametrize(
    "similarity", [pairwise_leading_eigenvalue, pairwise_mean_cosine, pairwise_product]
)
COUNTS = pytest.mark.parametrize("count", [1, 2, 3, 4], ids=lambda count: f"text_and_{count}")


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1).to(dtype)


def looped(
    pair: Callable[[Floats, Floats], float], anchors_nd: Tensor, vectors_mkd: Tensor
) -> Tensor:
    """Compute each pair apart, by numpy."""
    rows = [
        [pair(anchor, item) for item in vectors_mkd.double().numpy()]
        for anchor in anchors_nd.double().numpy()
    ]
    return torch.tensor(rows, dtype=torch.float64)


def area_by_sides(anchor: Floats, item: Floats) -> float:
    """Heron's formula."""
    sides = [np.linalg.norm(anchor - item[0]), np.linalg.norm(anchor - item[1])]
    sides.append(np.linalg.norm(item[0] - item[1]))
    half = sum(sides) / 2
    return math.sqrt(half * math.prod(half - side for side in sides))


def area_by_edges(anchor: Floats, item: Floats) -> float:
    """The formula of the source."""
    u, v = anchor - item[0], anchor - item[1]
    return math.sqrt((u @ u) * (v @ v) - (u @ v) ** 2) / 2


def leading_eigenvalue(anchor: Floats, item: Floats) -> float:
    return float(np.linalg.svd(np.stack([anchor, *item]), compute_uv=False)[0] ** 2)


def product(anchor: Floats, item: Floats) -> float:
    return sum(math.prod(entries) for entries in zip(anchor, *item, strict=True))


def mean_cosine(anchor: Floats, item: Floats) -> float:
    return float(np.mean([anchor @ vector for vector in item]))


@pytest.mark.parametrize("pair", [area_by_sides, area_by_edges])
def test_the_area_is_that_of_the_triangle(pair: Callable[[Floats, Floats], float]) -> None:
    anchors_nd, vectors_mkd = unit(5, 16, seed=1), unit(4, 2, 16, seed=2)
    expected = looped(pair, anchors_nd, vectors_mkd)
    torch.testing.assert_close(pairwise_area(anchors_nd, vectors_mkd), expected)


def test_a_triangle_with_one_corner_twice_has_next_to_no_area() -> None:
    vectors_mkd = unit(3, 1, 16, seed=1).repeat(1, 2, 1)
    assert pairwise_area(unit(4, 16), vectors_mkd).max() <= FLOOR**0.5


def test_an_equilateral_triangle_in_the_unit_circle_has_the_largest_area() -> None:
    corners = [[math.cos(turn), math.sin(turn)] for turn in (0, 2 * math.pi / 3, 4 * math.pi / 3)]
    corners_kd = torch.tensor(corners, dtype=torch.float64)
    area = pairwise_area(corners_kd[:1], corners_kd[None, 1:])
    assert float(area) == pytest.approx(3 * math.sqrt(3) / 4)


@pytest.mark.parametrize("count", [1, 3])
def test_a_triangle_has_three_corners(count: int) -> None:
    with pytest.raises(ValueError, match=f"found {count} vectors; use two modalities or another"):
        pairwise_area(unit(2, 8), unit(2, count, 8))


def test_a_triangle_without_a_corner_is_refused() -> None:
    present_mk = torch.tensor([[True, True], [True, False]])
    with pytest.raises(ValueError, match="found 1 items that lack one; leave them out"):
        pairwise_area(unit(2, 8), unit(2, 2, 8), present_mk=present_mk)


@COUNTS
@pytest.mark.parametrize(
    ("similarity", "pair"),
    [
        (pairwise_leading_eigenvalue, leading_eigenvalue),
        (pairwise_product, product),
        (pairwise_mean_cosine, mean_cosine),
    ],
    ids=["eigenvalue", "product", "cosine"],
)
def test_is_what_numpy_gives_for_each_pair(
    similarity: Pairwise, pair: Callable[[Floats, Floats], float], count: int
) -> None:
    anchors_nd, vectors_mkd = unit(5, 16, seed=1), unit(4, count, 16, seed=2)
    expected = looped(pair, anchors_nd, vectors_mkd)
    torch.testing.assert_close(similarity(anchors_nd, vectors_mkd), expected)


def test_chunks_change_no_eigenvalue(monkeypatch: pytest.MonkeyPatch) -> None:
    anchors_nd, vectors_mkd = unit(5, 16, seed=1), unit(7, 3, 16, seed=2)
    whole = pairwise_leading_eigenvalue(anchors_nd, vectors_mkd)
    monkeypatch.setattr(similarities, "CHUNK_PAIRS", 10)
    torch.testing.assert_close(pairwise_leading_eigenvalue(anchors_nd, vectors_mkd), whole)


def test_an_aligned_tuple_has_the_number_of_its_vectors_as_eigenvalue() -> None:
    anchor_nd = unit(1, 16)
    eigenvalue = pairwise_leading_eigenvalue(anchor_nd, anchor_nd.repeat(1, 3, 1))
    assert float(eigenvalue) == pytest.approx(4)


def test_orthogonal_vectors_have_the_eigenvalue_one() -> None:
    basis_kd = torch.eye(8)
    assert float(pairwise_leading_eigenvalue(basis_kd[:1], basis_kd[None, 1:4])) == 1


def test_eigenvalues_have_their_true_gradient() -> None:
    anchors_nd, vectors_mkd = unit(3, 8, seed=1), unit(2, 3, 8, seed=2)
    assert torch.autograd.gradcheck(
        pairwise_leading_eigenvalue,
        (anchors_nd.requires_grad_(), vectors_mkd.requires_grad_()),
    )


def test_areas_have_their_true_gradient() -> None:
    anchors_nd, vectors_mkd = unit(3, 8, seed=1), unit(2, 2, 8, seed=2)
    assert torch.autograd.gradcheck(
        pairwise_area, (anchors_nd.requires_grad_(), vectors_mkd.requires_grad_())
    )


@EVERY
@pytest.mark.parametrize("case", ["duplicates", "orthogonal", "opposite"])
def test_gradients_are_finite(similarity: Pairwise, case: str) -> None:
    basis_kd = torch.eye(4)
    vectors_mkd = {
        "duplicates": basis_kd[:1].repeat(3, 2, 1),
        "orthogonal": basis_kd[1:3].repeat(3, 1, 1),
        "opposite": torch.stack([basis_kd[0], -basis_kd[0]]).repeat(3, 1, 1),
    }[case].requires_grad_()
    anchors_nd = basis_kd[:1].repeat(2, 1).requires_grad_()
    total = similarity(anchors_nd, vectors_mkd).sum()
    gradients = torch.autograd.grad(total, (anchors_nd, vectors_mkd))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@MASKABLE
def test_a_missing_vector_changes_nothing(similarity: Pairwise) -> None:
    anchors_nd, vectors_mkd = unit(5, 16, seed=1), unit(4, 3, 16, seed=2)
    vectors_mkd[:, 1] = float("nan")
    present_mk = torch.tensor([[True, False, True]] * 4)
    torch.testing.assert_close(
        similarity(anchors_nd, vectors_mkd, present_mk=present_mk),
        similarity(anchors_nd, vectors_mkd[:, [0, 2]]),
    )


@EVERY
def test_the_order_of_vectors_does_not_matter(similarity: Pairwise) -> None:
    anchors_nd, vectors_mkd = unit(5, 16, seed=1), unit(4, 2, 16, seed=2)
    torch.testing.assert_close(
        similarity(anchors_nd, vectors_mkd.flip(1)), similarity(anchors_nd, vectors_mkd)
    )


@EVERY
def test_autocast_changes_no_value(similarity: Pairwise) -> None:
    anchors_nd = unit(5, 16, seed=1, dtype=torch.float32)
    vectors_mkd = unit(4, 2, 16, seed=2, dtype=torch.float32)
    plain = similarity(anchors_nd, vectors_mkd)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(similarity(anchors_nd, vectors_mkd), plain)


@EVERY
def test_half_precision_vectors_give_float32(similarity: Pairwise) -> None:
    anchors_nd = unit(5, 16, seed=1, dtype=torch.bfloat16)
    vectors_mkd = unit(4, 2, 16, seed=2, dtype=torch.bfloat16)
    assert similarity(anchors_nd, vectors_mkd).dtype == torch.float32


@EVERY
@pytest.mark.parametrize(
    ("anchors", "vectors", "message"),
    [
        ((2, 8), (2, 8), r"need three axes .* got shape \(2, 8\); stack"),
        ((2, 8), (2, 0, 8), r"with one vector or more, got shape \(2, 0, 8\)"),
        ((2, 7), (2, 2, 8), r"anchors need shape \(N, 8\), got \(2, 7\)"),
        ((8,), (2, 2, 8), r"anchors need shape \(N, 8\), got \(8,\)"),
    ],
    ids=["two_axes", "no_vector", "other_width", "one_anchor"],
)
def test_a_wrong_shape_is_named(
    similarity: Pairwise, anchors: tuple[int, ...], vectors: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        similarity(torch.zeros(anchors), torch.zeros(vectors))


@EVERY
def test_a_mask_of_another_shape_is_named(similarity: Pairwise) -> None:
    present_mk = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"present needs shape \(2, 2\), got \(2, 3\)"):
        similarity(unit(2, 8), unit(2, 2, 8), present_mk=present_mk)


# --- spectrum ---------------------------------------------------------------------------------


@COUNTS
def test_singular_values_are_those_of_numpy(count: int) -> None:
    vectors_bkd = unit(5, count, 16)
    expected = np.linalg.svd(vectors_bkd.numpy(), compute_uv=False)
    values_bk, _ = tuple_spectrum(vectors_bkd)
    torch.testing.assert_close(values_bk, torch.from_numpy(expected))


def test_the_direction_lies_on_the_side_of_the_sum() -> None:
    vectors_bkd = unit(20, 3, 16)
    _, directions_bd = tuple_spectrum(vectors_bkd)
    assert (directions_bd * vectors_bkd.sum(dim=1)).sum(dim=-1).min() > 0


def test_gradients_of_the_spectrum_are_those_of_the_decomposition() -> None:
    vectors_bkd = unit(4, 3, 16, seed=1) + unit(4, 1, 16, seed=2)
    weights_bd = unit(4, 16, seed=3)

    def gradient(values_bk: Tensor, directions_bd: Tensor, given: Tensor) -> Tensor:
        total = (values_bk * torch.arange(3)).sum() + (directions_bd * weights_bd).sum()
        return torch.autograd.grad(total, given)[0]

    ours = vectors_bkd.clone().requires_grad_()
    exact = vectors_bkd.clone().requires_grad_()
    _, values_bk, right = torch.linalg.svd(exact, full_matrices=False)
    side_b = (right[:, 0] * exact.sum(dim=1)).sum(dim=-1, keepdim=True).sign()
    torch.testing.assert_close(
        gradient(*tuple_spectrum(ours), ours),
        gradient(values_bk, right[:, 0] * side_b, exact),
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("case", ["duplicates", "orthogonal"])
def test_gradients_of_the_spectrum_are_finite(case: str) -> None:
    basis_kd = torch.eye(4)
    rows = {"duplicates": [0, 0, 0], "orthogonal": [0, 1, 2]}[case]
    vectors_bkd = basis_kd[rows].unsqueeze(0).requires_grad_()
    values_bk, directions_bd = tuple_spectrum(vectors_bkd)
    total = values_bk[:, 0].sum() + directions_bd[:, 0].sum()
    assert torch.isfinite(torch.autograd.grad(total, vectors_bkd)[0]).all()
