"""The volume, against determinants, angles and least squares in float64."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gram.volume import gram_volume, pairwise_residual, pairwise_volume

Floats = NDArray[np.float64]

COUNTS = pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6], ids=lambda count: f"{count}_vectors")
PAIRWISE = pytest.mark.parametrize("score", [pairwise_volume, pairwise_residual])


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw unit vectors."""
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1).to(dtype)


def cluster(*shape: int, noise: float, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw unit vectors around one direction."""
    center = unit(shape[-1], seed=100)
    return normalize(center + noise * unit(*shape, seed=seed), dim=-1).to(dtype)


def determinant_volume(vectors_kd: Tensor) -> float:
    """Give the root of the determinant of the Gram matrix, in float64."""
    vectors: Floats = vectors_kd.double().numpy()
    gram = np.array([[float(np.dot(one, other)) for other in vectors] for one in vectors])
    return float(np.sqrt(max(np.linalg.det(gram), 0.0)))


def looped(function: Callable[[Tensor], float], vectors_bkd: Tensor) -> Tensor:
    return torch.tensor([function(vectors_kd) for vectors_kd in vectors_bkd], dtype=torch.float64)


def looped_pairs(
    function: Callable[[Tensor], float], anchors_nd: Tensor, vectors_mkd: Tensor
) -> Tensor:
    """Call a function of one tuple, anchor first, for all pairs: shape (N, M)."""
    rows = [
        [function(torch.cat([anchor_d.unsqueeze(0), vectors_kd])) for vectors_kd in vectors_mkd]
        for anchor_d in anchors_nd
    ]
    return torch.tensor(rows, dtype=torch.float64)


def distance_from_span(vectors_kd: Tensor) -> float:
    """Give the length of what is left of the first vector after a least squares fit by the rest."""
    anchor, *others = vectors_kd.double().numpy()
    basis: Floats = np.stack(others, axis=1)
    fit, *_ = np.linalg.lstsq(basis, anchor, rcond=None)
    return float(np.linalg.norm(anchor - basis @ fit))


# --- tuples -----------------------------------------------------------------------------------


@COUNTS
def test_the_volume_is_the_root_of_the_gram_determinant(count: int) -> None:
    vectors_bkd = unit(9, count, 12)
    torch.testing.assert_close(
        gram_volume(vectors_bkd), looped(determinant_volume, vectors_bkd), rtol=1e-12, atol=0
    )


@COUNTS
def test_float32_keeps_five_digits(count: int) -> None:
    vectors_bkd = unit(9, count, 12, dtype=torch.float32)
    torch.testing.assert_close(
        gram_volume(vectors_bkd).double(),
        looped(determinant_volume, vectors_bkd),
        rtol=1e-5,
        atol=0,
    )


@pytest.mark.parametrize("noise", [0.3, 0.1, 0.03, 0.01])
def test_float32_holds_for_vectors_that_agree(noise: float) -> None:
    vectors_bkd = cluster(9, 4, 64, noise=noise, dtype=torch.float32)
    torch.testing.assert_close(
        gram_volume(vectors_bkd).double(),
        looped(determinant_volume, vectors_bkd.double()),
        rtol=1e-3,
        atol=0,
    )


@pytest.mark.parametrize("degrees", [1, 10, 45, 90, 135, 179])
def test_the_volume_of_two_vectors_is_the_sine_of_their_angle(degrees: int) -> None:
    angle = np.radians(degrees)
    pair = torch.tensor([[[1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]]])
    assert float(gram_volume(pair)) == pytest.approx(abs(np.sin(angle)), rel=1e-5)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_volume_of_a_square_tuple_is_its_determinant(count: int) -> None:
    vectors_bkk = unit(7, count, count, seed=count)
    expected_b = np.abs(np.linalg.det(vectors_bkk.numpy()))
    np.testing.assert_allclose(gram_volume(vectors_bkk).numpy(), expected_b, rtol=1e-9)


def test_vectors_of_any_length_are_taken_as_they_are() -> None:
    vectors_bkd = unit(5, 3, 8) * torch.tensor([2.0, 3.0, 5.0]).view(3, 1)
    torch.testing.assert_close(
        gram_volume(vectors_bkd), looped(determinant_volume, vectors_bkd), rtol=1e-12, atol=0
    )


def test_orthogonal_vectors_span_one() -> None:
    assert gram_volume(torch.eye(5).unsqueeze(0)).tolist() == [1.0]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_equal_vectors_span_next_to_nothing(count: int) -> None:
    vectors_bkd = unit(4, 1, 16, dtype=torch.float32).expand(4, count, 16)
    assert gram_volume(vectors_bkd).max() <= 1e-15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-5])
def test_vectors_that_nearly_agree_span_their_distance(distance: float, dtype: torch.dtype) -> None:
    first, away = torch.eye(8, dtype=dtype)[:2]
    pair_bkd = torch.stack([first, first + distance * away]).unsqueeze(0)
    torch.testing.assert_close(
        gram_volume(pair_bkd), torch.tensor([distance], dtype=dtype), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-5])
def test_the_order_of_an_item_s_vectors_does_not_matter_where_they_nearly_agree(
    noise: float,
) -> None:
    anchors_nd = unit(6, 24, seed=3, dtype=torch.float32)
    vectors_mkd = cluster(5, 3, 24, noise=noise, dtype=torch.float32)
    for score in (pairwise_volume, pairwise_residual):
        first = score(anchors_nd, vectors_mkd)
        for order in permutations(range(3)):
            other = score(anchors_nd, vectors_mkd[:, list(order)])
            torch.testing.assert_close(other, first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_the_order_of_the_vectors_does_not_matter(order: tuple[int, ...]) -> None:
    vectors_bkd = cluster(6, 4, 24, noise=0.3, dtype=torch.float32)
    torch.testing.assert_close(
        gram_volume(vectors_bkd[:, order]), gram_volume(vectors_bkd), rtol=1e-5, atol=0
    )


def test_a_vector_and_its_opposite_span_the_same() -> None:
    vectors_bkd = unit(6, 3, 8)
    signs_k = torch.tensor([1.0, -1.0, -1.0]).view(3, 1)
    torch.testing.assert_close(gram_volume(signs_k * vectors_bkd), gram_volume(vectors_bkd))


def test_no_tuples_give_no_volumes() -> None:
    assert gram_volume(torch.zeros(0, 3, 8)).shape == (0,)


# --- all pairs --------------------------------------------------------------------------------


@COUNTS
def test_pairwise_volumes_are_those_of_the_joined_tuples(count: int) -> None:
    anchors_nd, vectors_mkd = unit(5, 12, seed=1), unit(7, count, 12, seed=2)
    expected_nm = looped_pairs(determinant_volume, anchors_nd, vectors_mkd)
    torch.testing.assert_close(
        pairwise_volume(anchors_nd, vectors_mkd), expected_nm, rtol=1e-10, atol=0
    )


@COUNTS
def test_pairwise_residuals_are_distances_from_the_span(count: int) -> None:
    anchors_nd, vectors_mkd = unit(5, 12, seed=1), unit(7, count, 12, seed=2)
    expected_nm = looped_pairs(distance_from_span, anchors_nd, vectors_mkd)
    torch.testing.assert_close(
        pairwise_residual(anchors_nd, vectors_mkd), expected_nm, rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("noise", [1.0, 0.3, 0.1])
def test_pairwise_float32_holds_for_vectors_that_agree(noise: float) -> None:
    anchors_nd = cluster(5, 512, noise=noise, seed=0, dtype=torch.float32)
    vectors_mkd = cluster(7, 4, 512, noise=noise, seed=1, dtype=torch.float32)
    expected_nm = looped_pairs(determinant_volume, anchors_nd, vectors_mkd)
    torch.testing.assert_close(
        pairwise_volume(anchors_nd, vectors_mkd).double(), expected_nm, rtol=2e-4, atol=0
    )


@pytest.mark.parametrize("degrees", [1, 30, 90, 150])
def test_the_pairwise_volume_of_one_vector_is_the_sine(degrees: int) -> None:
    angle = np.radians(degrees)
    anchor_nd = torch.tensor([[1.0, 0.0, 0.0]])
    vectors_mkd = torch.tensor([[[np.cos(angle), np.sin(angle), 0.0]]])
    volume = float(pairwise_volume(anchor_nd, vectors_mkd.float()))
    assert volume == pytest.approx(abs(np.sin(angle)), rel=1e-3)


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_the_pairwise_volume_of_a_square_tuple_is_its_determinant(width: int) -> None:
    anchors_nd, vectors_mkd = unit(3, width, seed=3), unit(4, width - 1, width, seed=4)
    expected_nm = [
        [abs(np.linalg.det(np.stack([anchor, *item]))) for item in vectors_mkd.numpy()]
        for anchor in anchors_nd.numpy()
    ]
    np.testing.assert_allclose(
        pairwise_volume(anchors_nd, vectors_mkd).numpy(), expected_nm, rtol=1e-8
    )


@PAIRWISE
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_the_order_of_the_modalities_does_not_matter(
    score: Callable[[Tensor, Tensor], Tensor], order: tuple[int, ...]
) -> None:
    anchors_nd = cluster(5, 32, noise=0.5, dtype=torch.float32)
    vectors_mkd = cluster(6, 3, 32, noise=0.5, seed=1, dtype=torch.float32)
    torch.testing.assert_close(
        score(anchors_nd, vectors_mkd[:, order]), score(anchors_nd, vectors_mkd)
    )


@PAIRWISE
@pytest.mark.parametrize("missing", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], ids=str)
def test_a_missing_vector_changes_no_score(
    score: Callable[..., Tensor], missing: tuple[int, ...]
) -> None:
    anchors_nd, vectors_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    there = [k for k in range(3) if k not in missing]
    present_mk = torch.zeros(7, 3, dtype=torch.bool)
    present_mk[:, there] = True
    torch.testing.assert_close(
        score(anchors_nd, vectors_mkd, present_mk=present_mk),
        score(anchors_nd, vectors_mkd[:, there]),
    )


@PAIRWISE
@pytest.mark.parametrize("junk", [0.0, 1e6, float("nan")], ids=["zeros", "large", "not_a_number"])
def test_what_stands_in_for_a_missing_vector_is_not_read(
    score: Callable[..., Tensor], junk: float
) -> None:
    anchors_nd, vectors_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    present_mk = torch.ones(7, 3, dtype=torch.bool)
    present_mk[::2, 1] = False
    replaced_mkd = vectors_mkd.masked_fill(~present_mk.unsqueeze(-1), junk)
    torch.testing.assert_close(
        score(anchors_nd, replaced_mkd, present_mk=present_mk),
        score(anchors_nd, vectors_mkd, present_mk=present_mk),
    )


def test_a_missing_vector_counts_as_an_orthogonal_one() -> None:
    anchors_nd, vectors_mkd = unit(5, 12, seed=1), unit(7, 2, 12, seed=2)
    anchors_nd, vectors_mkd = (
        torch.nn.functional.pad(vectors, (0, 1)) for vectors in (anchors_nd, vectors_mkd)
    )
    orthogonal_m1d = torch.zeros(7, 1, 13, dtype=torch.float64)
    orthogonal_m1d[..., -1] = 1
    with_it_mkd = torch.cat([vectors_mkd, orthogonal_m1d], dim=1)
    present_mk = torch.tensor([True, True, False]).expand(7, 3)
    torch.testing.assert_close(
        pairwise_volume(anchors_nd, with_it_mkd, present_mk=present_mk),
        pairwise_volume(anchors_nd, with_it_mkd),
    )


@PAIRWISE
def test_an_item_without_any_vector_is_as_far_as_can_be(score: Callable[..., Tensor]) -> None:
    present_mk = torch.zeros(2, 3, dtype=torch.bool)
    score_nm = score(unit(4, 12), unit(2, 3, 12), present_mk=present_mk)
    torch.testing.assert_close(score_nm, torch.ones(4, 2, dtype=torch.float64))


def test_the_volume_is_the_residual_times_the_volume_of_the_item() -> None:
    anchors_nd, vectors_mkd = unit(5, 12, seed=1), unit(7, 3, 12, seed=2)
    torch.testing.assert_close(
        pairwise_volume(anchors_nd, vectors_mkd),
        pairwise_residual(anchors_nd, vectors_mkd) * gram_volume(vectors_mkd),
    )


# --- errors -----------------------------------------------------------------------------------


def test_tuples_need_three_axes() -> None:
    with pytest.raises(ValueError, match=r"need three axes .* got shape \(3, 8\); stack"):
        gram_volume(torch.zeros(3, 8))


def test_more_vectors_than_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="4 vectors of width 3 always span volume 0; use fewer"):
        gram_volume(torch.zeros(1, 4, 3))


def test_a_tuple_of_no_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="vectors"):
        gram_volume(torch.zeros(1, 0, 3))


@PAIRWISE
@pytest.mark.parametrize("shape", [(4, 7), (8,), (2, 4, 8)], ids=str)
def test_anchors_of_another_shape_are_refused(
    score: Callable[..., Tensor], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"anchors need shape \(N, 8\), got"):
        score(torch.zeros(shape), unit(3, 2, 8))


@PAIRWISE
def test_an_anchor_and_vectors_that_fill_the_space_are_refused(
    score: Callable[..., Tensor],
) -> None:
    with pytest.raises(ValueError, match="an anchor with 3 vectors of width 3 always spans"):
        score(torch.zeros(2, 3), torch.eye(3).unsqueeze(0))


@PAIRWISE
def test_presence_of_another_shape_is_refused(score: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"present needs shape \(3, 2\), got \(2, 3\)"):
        score(unit(4, 8), unit(3, 2, 8), present_mk=torch.ones(2, 3, dtype=torch.bool))
