"""What holds for all inputs: any number of vectors, width, length, mask, type."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from gram.volume import (
    gram_volume,
    nearest_items,
    pairwise_residual,
    pairwise_trusted_residual,
    pairwise_volume,
)

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class Drawn(NamedTuple):
    """Texts and items, what is there, and an order of the modalities."""

    anchors_nd: Tensor
    vectors_mkd: Tensor
    present_mk: Tensor
    order: list[int]

    def cast(self, dtype: torch.dtype) -> "Drawn":
        """Give the same in another type."""
        return self._replace(
            anchors_nd=self.anchors_nd.to(dtype), vectors_mkd=self.vectors_mkd.to(dtype)
        )


@st.composite
def drawn(draw: st.DrawFn, *, is_odd: bool) -> Drawn:
    """Draw unit vectors; odd ones have noise, lengths, equal, opposite and zero vectors."""
    count = draw(st.integers(1, 7))  # with the text 2 to 8
    width = draw(st.sampled_from([9, 12, 33, 64, 256, 1024]))
    texts, items = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    noise = draw(st.sampled_from([1.0, 0.1, 1e-3, 1e-5, 1e-8])) if is_odd else 1.0
    shared_d = normal(width) if is_odd else torch.zeros(width, dtype=torch.float64)
    anchors_nd = normalize(shared_d + noise * normal(texts, width), dim=-1)
    vectors_mkd = normalize(shared_d + noise * normal(items, count, width), dim=-1)
    if is_odd:
        for _ in range(draw(st.integers(0, 3))):
            item, to = draw(st.integers(0, items - 1)), draw(st.integers(0, count - 1))
            choices = (vectors_mkd[item, 0], -vectors_mkd[item, 0], anchors_nd[0], 0 * shared_d)
            vectors_mkd[item, to] = choices[draw(st.integers(0, 3))].clone()
        anchors_nd *= draw(st.sampled_from([0.0, 1e-3, 1.0, 1e3]))
        vectors_mkd *= draw(st.sampled_from([1e-3, 1.0, 30.0]))
    present_mk = torch.rand(items, count, generator=random) < draw(st.sampled_from([0.5, 1.1]))
    return Drawn(anchors_nd, vectors_mkd, present_mk, draw(st.permutations(range(count))))


def scores(one: Drawn) -> list[Tensor]:
    """Give all pairwise distances."""
    anchors_nd, vectors_mkd, present_mk, _ = one
    lambdas = [0.0, 0.3, 1.0, 0.0, 2.0, 0.0, 9.0][: vectors_mkd.shape[1]]
    return [
        pairwise_volume(anchors_nd, vectors_mkd, present_mk=present_mk, memory_mib=0.05),
        pairwise_residual(anchors_nd, vectors_mkd, present_mk=present_mk, memory_mib=0.05),
        pairwise_trusted_residual(
            anchors_nd, vectors_mkd, lambdas=lambdas, present_mk=present_mk, memory_mib=0.05
        ),
    ]


@EXAMPLES
@given(one=drawn(is_odd=False))
def test_the_order_of_modalities_changes_nothing_beyond_rounding(one: Drawn) -> None:
    one = one.cast(torch.float32)
    mixed_mkd, mixed_mk = one.vectors_mkd[:, one.order], one.present_mk[:, one.order]
    torch.testing.assert_close(
        pairwise_volume(one.anchors_nd, mixed_mkd, present_mk=mixed_mk),
        pairwise_volume(one.anchors_nd, one.vectors_mkd, present_mk=one.present_mk),
        rtol=1e-3,
        atol=1e-5,
    )


@EXAMPLES
@given(one=drawn(is_odd=True), dtype=st.sampled_from(DTYPES))
def test_gradients_are_finite_for_all_inputs(one: Drawn, dtype: torch.dtype) -> None:
    one = one.cast(dtype)
    leaves = one.anchors_nd.requires_grad_(), one.vectors_mkd.requires_grad_()
    # Half precision holds numbers to 65504 alone: what is asked for is smaller there.
    weight = 1.0 if dtype in (torch.float32, torch.float64) else 1e-4
    for score_nm in scores(one):
        gradients = torch.autograd.grad(weight * score_nm.sum(), leaves)
        assert all(gradient.isfinite().all() for gradient in gradients)


@EXAMPLES
@given(one=drawn(is_odd=True), dtype=st.sampled_from(DTYPES))
def test_scores_are_finite_and_not_negative(one: Drawn, dtype: torch.dtype) -> None:
    for score_nm in scores(one.cast(dtype)):
        assert score_nm.isfinite().all()
        assert (score_nm >= 0).all()


@EXAMPLES
@given(one=drawn(is_odd=True))
def test_no_text_is_farther_away_than_it_is_long(one: Drawn) -> None:
    lengths_n1 = one.anchors_nd.norm(dim=-1, keepdim=True)
    for residual_nm in scores(one)[1:]:
        assert (residual_nm <= lengths_n1 * (1 + 1e-12)).all()


@EXAMPLES
@given(one=drawn(is_odd=False), scale=st.sampled_from([1e-6, 1e-2, 1e4, 1e6]))
def test_the_volume_scales_with_the_text(one: Drawn, scale: float) -> None:
    one = one.cast(torch.float32)
    torch.testing.assert_close(
        pairwise_volume(scale * one.anchors_nd, one.vectors_mkd),
        scale * pairwise_volume(one.anchors_nd, one.vectors_mkd),
        rtol=1e-3,
        atol=scale * 1e-5,
    )


@EXAMPLES
@given(one=drawn(is_odd=False), scale=st.sampled_from([1e-6, 1e-2, 1e4, 1e6]))
def test_the_residual_does_not_see_the_length_of_an_item(one: Drawn, scale: float) -> None:
    one = one.cast(torch.float32)
    torch.testing.assert_close(
        pairwise_residual(one.anchors_nd, scale * one.vectors_mkd),
        pairwise_residual(one.anchors_nd, one.vectors_mkd),
        rtol=1e-3,
        atol=1e-5,
    )


@EXAMPLES
@given(one=drawn(is_odd=True))
def test_what_is_missing_leaks_into_nothing(one: Drawn) -> None:
    def all_of(vectors_mkd: Tensor) -> list[list[float]]:
        leaf_mkd = vectors_mkd.clone().requires_grad_()
        found = scores(one._replace(vectors_mkd=leaf_mkd))
        (gradient_mkd,) = torch.autograd.grad(sum(score.sum() for score in found), leaf_mkd)
        return [score.flatten().tolist() for score in (*found, gradient_mkd)]

    junk_mkd = one.vectors_mkd.masked_fill(~one.present_mk.unsqueeze(-1), torch.nan)
    assert all_of(junk_mkd) == all_of(one.vectors_mkd)


@EXAMPLES
@given(one=drawn(is_odd=True), dtype=st.sampled_from([torch.bfloat16, torch.float16]))
def test_autocast_changes_nothing(one: Drawn, dtype: torch.dtype) -> None:
    one = one.cast(torch.float32)
    plain = [score_nm.tolist() for score_nm in (*scores(one), gram_volume(one.vectors_mkd))]
    with torch.autocast("cpu", dtype=dtype):
        cast = [score_nm.tolist() for score_nm in (*scores(one), gram_volume(one.vectors_mkd))]
    assert cast == plain


@EXAMPLES
@given(one=drawn(is_odd=True))
def test_tuples_have_finite_gradients(one: Drawn) -> None:
    leaf_mkd = one.cast(torch.float32).vectors_mkd.requires_grad_()
    (gradient_mkd,) = torch.autograd.grad(gram_volume(leaf_mkd).sum(), leaf_mkd)
    assert gradient_mkd.isfinite().all()


@EXAMPLES
@given(one=drawn(is_odd=False), k=st.integers(1, 6))
def test_the_nearest_are_the_first_of_a_sort(one: Drawn, k: int) -> None:
    anchors_nd, vectors_mkd, present_mk, _ = one
    sorted_nm = pairwise_volume(anchors_nd, vectors_mkd, present_mk=present_mk).sort(dim=1)
    found = nearest_items(anchors_nd, vectors_mkd, k=k, present_mk=present_mk, memory_mib=1e-3)
    torch.testing.assert_close(found.distances_nk, sorted_nm.values[:, :k], rtol=1e-9, atol=1e-12)


def bound(distance_nm: Tensor, eps: float) -> Tensor:
    """Give the error that is possible: a squared distance is right to some eps."""
    return 16 * eps / distance_nm.clamp_min((16 * eps) ** 0.5)


@pytest.mark.parametrize("noise", [1.0, 0.1, 0.01, 1e-3, 1e-4, 0.0])
def test_the_error_of_a_distance_is_bounded_by_what_products_resolve(noise: float) -> None:
    random = torch.Generator().manual_seed(1)
    shared_d = torch.randn(256, generator=random, dtype=torch.float64)
    text_nd = shared_d + noise * torch.randn(40, 256, generator=random, dtype=torch.float64)
    anchors_nd = normalize(text_nd, dim=-1).float()
    vectors_mkd = normalize(shared_d, dim=-1).float().view(1, 1, 256)
    exact_nm = pairwise_residual(anchors_nd.double(), vectors_mkd.double())
    error_nm = (pairwise_residual(anchors_nd, vectors_mkd).double() - exact_nm).abs()
    assert (error_nm <= bound(exact_nm, torch.finfo(torch.float32).eps)).all()
