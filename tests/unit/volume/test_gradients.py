"""Gradients of the volume, its precision under autocast, and the memory that it needs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from gram.volume import gram_volume, pairwise_residual, pairwise_volume

PAIRWISE = pytest.mark.parametrize("score", [pairwise_volume, pairwise_residual])


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw unit vectors."""
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1).to(dtype)


def cluster(*shape: int, noise: float, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw unit vectors around one direction."""
    center = unit(shape[-1], seed=100)
    return normalize(center + noise * unit(*shape, seed=seed), dim=-1).to(dtype)


# --- gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 4])
def test_the_gradient_of_the_volume_is_that_of_finite_differences(count: int) -> None:
    assert torch.autograd.gradcheck(gram_volume, unit(3, count, 6).requires_grad_())


@PAIRWISE
def test_the_pairwise_gradient_is_that_of_finite_differences(
    score: Callable[..., Tensor],
) -> None:
    present_mk = torch.tensor([[True, True], [True, False], [False, True]])
    inputs = (unit(2, 6, seed=1).requires_grad_(), unit(3, 2, 6, seed=2).requires_grad_())
    assert torch.autograd.gradcheck(
        lambda anchors, vectors: score(anchors, vectors, present_mk=present_mk), inputs
    )


DUPLICATES = {
    "text_and_video": (0, 0, 1),
    "video_and_audio": (0, 1, 1),
    "text_and_audio": (0, 1, 0),
    "all": (0, 0, 0),
}


@pytest.mark.parametrize("numbers", DUPLICATES.values(), ids=DUPLICATES.keys())
@pytest.mark.parametrize("kind", ["random", "one_hot", "zero"])
def test_duplicates_have_finite_gradients(numbers: tuple[int, ...], kind: str) -> None:
    choices = {
        "random": unit(2, 16, dtype=torch.float32),
        "one_hot": torch.eye(16)[:2],
        "zero": torch.zeros(2, 16),
    }
    anchor, *item = choices[kind][list(numbers)]
    anchors_nd = anchor.repeat(3, 1).requires_grad_()
    vectors_mkd = torch.stack(item).repeat(4, 1, 1).requires_grad_()
    mean = pairwise_volume(anchors_nd, vectors_mkd).mean()
    gradients = torch.autograd.grad(mean, (anchors_nd, vectors_mkd))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-5, 1e-7])
def test_vectors_that_nearly_agree_have_bounded_gradients(noise: float) -> None:
    anchors_nd = cluster(4, 64, noise=noise, dtype=torch.float32).requires_grad_()
    vectors_mkd = cluster(5, 3, 64, noise=noise, dtype=torch.float32).requires_grad_()
    total = pairwise_volume(anchors_nd, vectors_mkd).sum()
    gradients = torch.autograd.grad(total, (anchors_nd, vectors_mkd))
    assert max(gradient.abs().max() for gradient in gradients) < 10


def test_below_the_floor_the_gradient_is_zero() -> None:
    first = unit(1, 1, 16, dtype=torch.float32)
    second = first.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(gram_volume(torch.cat([first, second], dim=1)).sum(), second)
    assert gradient.abs().max() == 0


@PAIRWISE
@pytest.mark.parametrize("length", [1e-4, 5e-4, 1e2, 1e4])
def test_the_length_of_an_anchor_changes_no_gradient_of_it(
    score: Callable[..., Tensor], length: float
) -> None:
    anchors_nd = unit(3, 16, dtype=torch.float32)
    vectors_mkd = unit(4, 2, 16, seed=1, dtype=torch.float32)
    both = [(scale * anchors_nd).requires_grad_() for scale in (1.0, length)]
    expected, ours = (torch.autograd.grad(score(one, vectors_mkd).sum(), one)[0] for one in both)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_missing_vector_gets_no_gradient() -> None:
    vectors_mkd = unit(2, 3, 12).requires_grad_()
    present_mk = torch.tensor([[True, False, True], [True, True, True]])
    total = pairwise_volume(unit(4, 12, seed=5), vectors_mkd, present_mk=present_mk).sum()
    (gradient_mkd,) = torch.autograd.grad(total, vectors_mkd)
    assert gradient_mkd[0, 1].abs().max() == 0


# --- precision and memory ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_volume(dtype: torch.dtype) -> None:
    anchors_nd = cluster(5, 64, noise=0.05, dtype=torch.float32)
    vectors_mkd = cluster(6, 3, 64, noise=0.05, seed=1, dtype=torch.float32)
    plain = (
        gram_volume(vectors_mkd),
        pairwise_volume(anchors_nd, vectors_mkd),
        pairwise_residual(anchors_nd, vectors_mkd),
    )
    with torch.autocast("cpu", dtype=dtype):
        cast = (
            gram_volume(vectors_mkd),
            pairwise_volume(anchors_nd, vectors_mkd),
            pairwise_residual(anchors_nd, vectors_mkd),
        )
    assert [one.tolist() for one in cast] == [one.tolist() for one in plain]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_volumes_are_float32(dtype: torch.dtype) -> None:
    volume_nm = pairwise_volume(unit(2, 8, dtype=dtype), unit(3, 2, 8, dtype=dtype))
    assert volume_nm.dtype == torch.float32


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Remembers the most elements that any tensor had which an operation gave."""

    elements = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch's own signature
        """Do the operation."""
        result = func(*args, **(kwargs or {}))
        given = result if isinstance(result, tuple | list) else (result,)
        sizes = [value.numel() for value in given if isinstance(value, Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


def test_no_tensor_of_small_matrices_is_built() -> None:
    anchors, items, count, width = 64, 48, 4, 8
    anchors_nd = unit(anchors, width, dtype=torch.float32).requires_grad_()
    vectors_mkd = unit(items, count, width, dtype=torch.float32).requires_grad_()
    with LargestTensor() as largest:  # type: ignore[no-untyped-call]
        total = pairwise_volume(anchors_nd, vectors_mkd).sum()
        torch.autograd.grad(total, (anchors_nd, vectors_mkd))
    assert anchors * items <= largest.elements <= anchors * items * count
