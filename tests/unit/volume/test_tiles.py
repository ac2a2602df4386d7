"""Tiles: what they give does not depend on their size, and their memory is bounded."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.volume import (
    gram_volume,
    nearest_items,
    pairwise_residual,
    pairwise_trusted_residual,
    pairwise_volume,
)

MIB = 2**20
SLACK_MIB = 0.1
"""Slices, shapes and sums of one number an item: beside the tiles."""


def trusted(anchors_nd: Tensor, vectors_mkd: Tensor, **settings: float) -> Tensor:
    lambdas = [0.5 * k for k in range(vectors_mkd.shape[1])]
    return pairwise_trusted_residual(anchors_nd, vectors_mkd, lambdas=lambdas, **settings)


Score = Callable[..., Tensor]
SCORES = pytest.mark.parametrize(
    "score", [pairwise_volume, pairwise_residual, trusted], ids=["volume", "residual", "trusted"]
)
MEMORIES = pytest.mark.parametrize("memory_mib", [1e-6, 0.01, 0.1, 1.0])


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw unit vectors."""
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1).to(dtype)


def gradients(score: Score, *inputs: Tensor, **settings: float) -> tuple[Tensor, ...]:
    """Give the gradients of a sum in which every pair has another weight."""
    leaves = [one.clone().requires_grad_() for one in inputs]
    result_nm = score(*leaves, **settings)
    weights_nm = torch.linspace(-1, 2, result_nm.numel(), dtype=result_nm.dtype)
    return torch.autograd.grad((result_nm * weights_nm.view_as(result_nm)).sum(), leaves)


class Peak:
    """The most bytes that torch held at once, above what it held before."""

    mib = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure while the block runs."""
    peak = Peak()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        yield peak
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    peak.mib = most / MIB


def size_mib(*tensors: Tensor) -> float:
    return sum(tensor.nbytes for tensor in tensors) / MIB


@SCORES
@MEMORIES
def test_the_size_of_the_tiles_changes_no_score(score: Score, memory_mib: float) -> None:
    inputs = unit(37, 24, seed=1, dtype=torch.float64), unit(41, 3, 24, dtype=torch.float64)
    torch.testing.assert_close(score(*inputs, memory_mib=memory_mib), score(*inputs))


@SCORES
@MEMORIES
def test_the_size_of_the_tiles_changes_no_gradient(score: Score, memory_mib: float) -> None:
    inputs = unit(37, 24, seed=1, dtype=torch.float64), unit(41, 3, 24, dtype=torch.float64)
    for ours, expected in zip(
        gradients(score, *inputs, memory_mib=memory_mib), gradients(score, *inputs), strict=True
    ):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("memory_mib", [1.0, 4.0, 16.0])
@pytest.mark.parametrize(("count", "width"), [(1, 512), (4, 512), (3, 16)], ids=str)
def test_forward_needs_no_more_memory_than_it_is_given(
    count: int, width: int, memory_mib: float
) -> None:
    inputs = unit(700, width, seed=1), unit(800, count, width, seed=2)
    with peak_memory() as peak:
        volume_nm = pairwise_volume(*inputs, memory_mib=memory_mib)
    assert size_mib(volume_nm) <= peak.mib <= size_mib(volume_nm) + memory_mib + SLACK_MIB


@pytest.mark.parametrize("memory_mib", [1.0, 4.0, 16.0])
@pytest.mark.parametrize(("count", "width"), [(1, 512), (4, 512), (3, 16)], ids=str)
def test_backward_needs_no_more_memory_than_it_is_given(
    count: int, width: int, memory_mib: float
) -> None:
    inputs = [one.requires_grad_() for one in (unit(700, width, seed=1), unit(800, count, width))]
    volume_nm = pairwise_volume(*inputs, memory_mib=memory_mib)
    ones_nm = torch.ones_like(volume_nm)
    with peak_memory() as peak:
        torch.autograd.grad(volume_nm, inputs, ones_nm)
    assert size_mib(*inputs) <= peak.mib <= size_mib(*inputs) + memory_mib + SLACK_MIB


def kept_for_backward(*inputs: Tensor, **settings: float) -> list[Tensor]:
    """Give what is kept from forward to backward beside the inputs."""
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda x: x):
        pairwise_volume(*inputs, **settings)
    addresses = {one.data_ptr() for one in inputs}
    return [one for one in kept if one.data_ptr() not in addresses]


def test_half_of_the_memory_is_kept_for_backward_at_most() -> None:
    inputs = [one.requires_grad_() for one in (unit(70, 32, seed=1), unit(80, 3, 32))]
    kept_mib = size_mib(*kept_for_backward(*inputs))
    assert kept_mib > size_mib(unit(70 * 3, 80))
    assert kept_for_backward(*inputs, memory_mib=2.1 * kept_mib)
    assert not kept_for_backward(*inputs, memory_mib=1.9 * kept_mib)


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    inputs = [one.requires_grad_() for one in (unit(70, 32, seed=1), unit(80, 3, 32))]
    with torch.no_grad():
        assert not kept_for_backward(*inputs)
    assert not kept_for_backward(*(one.detach() for one in inputs))


@pytest.mark.parametrize("memory_mib", [2.0, 16.0, 64.0])
def test_forward_for_backward_needs_no_more_memory_than_it_is_given(memory_mib: float) -> None:
    inputs = [one.requires_grad_() for one in (unit(400, 128, seed=1), unit(500, 4, 128))]
    with peak_memory() as peak:
        volume_nm = pairwise_volume(*inputs, memory_mib=memory_mib)
    assert peak.mib <= size_mib(volume_nm) + memory_mib + SLACK_MIB


@pytest.mark.parametrize("memory_mib", [0.1, 64.0], ids=["computed again", "kept"])
def test_backward_can_run_twice(memory_mib: float) -> None:
    inputs = [one.requires_grad_() for one in (unit(70, 32, seed=1), unit(80, 3, 32))]
    total = pairwise_volume(*inputs, memory_mib=memory_mib).sum()
    first = torch.autograd.grad(total, inputs, retain_graph=True)
    second = torch.autograd.grad(total, inputs)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("k", [1, 10, 800])
def test_a_search_needs_no_more_memory_than_it_is_given(k: int) -> None:
    inputs = unit(700, 64, seed=1), unit(800, 3, 64, seed=2)
    with peak_memory() as peak:
        found = nearest_items(*inputs, k=k, memory_mib=1.0)
    assert peak.mib <= size_mib(*found) + 1.0 + SLACK_MIB


@SCORES
def test_a_second_gradient_is_refused(score: Score) -> None:
    inputs = [one.requires_grad_() for one in (unit(3, 8, seed=1), unit(4, 2, 8))]
    (first_nd,) = torch.autograd.grad(score(*inputs).sum(), inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="residual cannot be differentiated again"):
        first_nd.sum().backward()


def test_a_second_gradient_of_tuples_is_refused() -> None:
    vectors_bmd = unit(3, 2, 8).requires_grad_()
    (first_bmd,) = torch.autograd.grad(
        gram_volume(vectors_bmd).sum(), vectors_bmd, create_graph=True
    )
    with pytest.raises(RuntimeError, match="volume cannot be differentiated again"):
        first_bmd.sum().backward()


@pytest.mark.parametrize("wanted", [0, 1], ids=["anchors", "vectors"])
def test_the_gradient_of_one_input_alone_is_the_same(wanted: int) -> None:
    inputs = [unit(5, 12, seed=1), unit(6, 3, 12)]
    both = gradients(pairwise_volume, *inputs)
    inputs[wanted].requires_grad_()
    result_nm = pairwise_volume(*inputs)
    weights_nm = torch.linspace(-1, 2, result_nm.numel()).view_as(result_nm)
    (alone,) = torch.autograd.grad((result_nm * weights_nm).sum(), inputs[wanted])
    torch.testing.assert_close(alone, both[wanted])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_have_the_type_of_the_inputs(dtype: torch.dtype) -> None:
    inputs = unit(5, 12, seed=1).to(dtype), unit(6, 3, 12).to(dtype)
    assert [one.dtype for one in gradients(pairwise_volume, *inputs)] == [dtype, dtype]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_is_raised_before_anything_is_computed(dtype: torch.dtype) -> None:
    inputs = unit(5, 12, seed=1).to(dtype), unit(6, 3, 12).to(dtype)
    raised = pairwise_volume(*(one.float() for one in inputs))
    assert pairwise_volume(*inputs).tolist() == raised.tolist()


def test_a_gradient_inside_autocast_is_the_same() -> None:
    inputs = unit(5, 12, seed=1), unit(6, 3, 12)
    plain = gradients(pairwise_volume, *inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = gradients(pairwise_volume, *inputs)
    assert [one.tolist() for one in cast] == [one.tolist() for one in plain]


def test_products_of_fewer_bits_are_switched_off() -> None:
    inputs = unit(40, 64, seed=1), unit(40, 3, 64)
    plain_nm = pairwise_volume(*inputs)
    torch.set_float32_matmul_precision("medium")
    try:
        again_nm = pairwise_volume(*inputs)
        after = torch.get_float32_matmul_precision()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (again_nm.tolist(), after) == (plain_nm.tolist(), "medium")


@pytest.mark.parametrize("memory_mib", [0.0, -1.0, float("nan"), float("inf")])
def test_a_memory_that_is_none_is_refused(memory_mib: float) -> None:
    with pytest.raises(ValueError, match="memory_mib needs a number of MiB above 0, got"):
        pairwise_volume(unit(3, 8), unit(4, 2, 8), memory_mib=memory_mib)


def test_tuples_need_no_more_memory_than_they_are_given() -> None:
    vectors_bmd = unit(3000, 4, 256).requires_grad_()
    with peak_memory() as forward:
        volume_b = gram_volume(vectors_bmd, memory_mib=1.0)
    assert forward.mib <= size_mib(volume_b) + 1.0 + SLACK_MIB
    with peak_memory() as backward:
        volume_b.sum().backward()
    assert backward.mib <= size_mib(vectors_bmd, volume_b) + 1.0 + SLACK_MIB


def test_tuples_have_the_same_volumes_whatever_the_memory() -> None:
    vectors_bmd = unit(50, 3, 16, dtype=torch.float64)
    torch.testing.assert_close(
        gram_volume(vectors_bmd, memory_mib=0.001), gram_volume(vectors_bmd), rtol=0, atol=0
    )


def textbook_volume(anchors_nd: Tensor, vectors_mkd: Tensor) -> Tensor:
    """The determinant of every pair's Gram matrix."""
    shape = (len(anchors_nd), len(vectors_mkd))
    along_nmk = torch.einsum("nd,mkd->nmk", anchors_nd, vectors_mkd)
    own_nmkk = (vectors_mkd @ vectors_mkd.mT).expand(*shape, -1, -1)
    squared_nm1 = anchors_nd.square().sum(-1)[:, None, None].expand(*shape, 1)
    first = torch.cat([squared_nm1, along_nmk], dim=-1).unsqueeze(-2)
    others = torch.cat([along_nmk.unsqueeze(-1), own_nmkk], dim=-1)
    return torch.linalg.det(torch.cat([first, others], dim=-2)).clamp_min(0).sqrt()


@pytest.mark.parametrize("noise", [0.01, 0.02, 0.05, 1.0], ids="noise {}".format)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_largest_error_is_not_above_that_of_determinants(count: int, noise: float) -> None:
    ours, theirs = [], []
    for seed in range(9):
        anchors_nd = unit(150, 512, seed=seed)
        spread_mkd = noise * 512**0.5 * unit(150, count, 512, seed=100 + seed)
        vectors_mkd = normalize(anchors_nd[:, None] + spread_mkd, dim=-1)
        exact_nm = textbook_volume(anchors_nd.double(), vectors_mkd.double())
        for errors, form in ((ours, pairwise_volume), (theirs, textbook_volume)):
            errors.append(float((form(anchors_nd, vectors_mkd) - exact_nm).abs().max()))
    assert statistics.median(ours) <= statistics.median(theirs)
