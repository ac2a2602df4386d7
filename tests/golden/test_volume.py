"""Volumes that the published code gave, beside determinants in double precision."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from gram.volume import FLOOR, gram_volume, pairwise_volume

Read = Callable[[str], Any]

FORMS = [f"{form}{count}" for form in ("fixed", "generic") for count in (3, 4, 5)]
PLAIN = [*FORMS, "generic2", "generic6", "unnormalised4"]
WIDE = ["fixed3_d512", "fixed5_d512"]
NEAR = {"0.1": 1e-5, "0.01": 1e-3, "0.001": 0.1}
"""Relative tolerance of float32 by the noise around one direction: what the subtraction leaves."""

PLAIN_CASES = [f"{name}.{kind}" for name in PLAIN for kind in ("f32", "f64")]
PLAIN_CASES += [f"{name}.f32" for name in WIDE]
NEAR_CASES = [
    (f"near{count}_eps{noise}.f32", tolerance)
    for count in (3, 4, 5)
    for noise, tolerance in NEAR.items()
]
FLAT_CASES = [
    *(f"near{count}_eps0.0001.f32" for count in (3, 4, 5)),
    *(f"{name}.{kind}" for name in ("dup_va3", "dup_exact_onehot3") for kind in ("f32", "f64")),
]


class Case(NamedTuple):
    """Texts and items, and what they gave."""

    anchors_nd: Tensor
    vectors_mkd: Tensor
    published_nm: Tensor
    exact_nm: Tensor
    anchor_gradient_nd: Tensor
    vector_gradient_mkd: Tensor


@pytest.fixture
def read(golden: Read) -> Callable[[str], Case]:
    """Give a function that reads a case by its name."""
    recording = golden("01_volume")

    def case(name: str) -> Case:
        start = f"{name}.in."
        names = [key.removeprefix(start) for key in recording.facts["tensors"] if start in key]
        given = {key: recording.tensors[f"{name}.{key}"] for key in ("out.volume", "ref64.det")}
        vectors, gradients = (
            [recording.tensors[f"{name}.{kind}.{one}"] for one in names]
            for kind in ("in", "grad_of_mean")
        )
        return Case(
            anchors_nd=vectors[0],
            vectors_mkd=torch.stack(vectors[1:], dim=1),
            published_nm=given["out.volume"],
            exact_nm=given["ref64.det"].clamp_min(0).sqrt(),
            anchor_gradient_nd=gradients[0],
            vector_gradient_mkd=torch.stack(gradients[1:], dim=1),
        )

    return case


def gradients(case: Case) -> tuple[Tensor, Tensor]:
    """Give the gradients of the mean volume: of the anchors and of the vectors."""
    anchors_nd = case.anchors_nd.clone().requires_grad_()
    vectors_mkd = case.vectors_mkd.clone().requires_grad_()
    mean = pairwise_volume(anchors_nd, vectors_mkd).mean()
    anchor_nd, vector_mkd = torch.autograd.grad(mean, (anchors_nd, vectors_mkd))
    return anchor_nd, vector_mkd


@pytest.mark.parametrize("name", PLAIN_CASES)
def test_volumes_are_the_published_ones(read: Callable[[str], Case], name: str) -> None:
    case = read(name)
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).float()
    torch.testing.assert_close(volume_nm, case.published_nm, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PLAIN_CASES)
def test_volumes_are_those_of_double_precision(read: Callable[[str], Case], name: str) -> None:
    case = read(name)
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).double()
    tolerance = 1e-12 if name.endswith("f64") else 1e-6
    torch.testing.assert_close(volume_nm, case.exact_nm, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", PLAIN_CASES)
def test_volumes_of_joined_tuples_are_the_published_ones(
    read: Callable[[str], Case], name: str
) -> None:
    case = read(name)
    texts, items = len(case.anchors_nd), len(case.vectors_mkd)
    anchors_bd = case.anchors_nd.repeat_interleave(items, dim=0).unsqueeze(1)
    joined_bmd = torch.cat([anchors_bd, case.vectors_mkd.repeat(texts, 1, 1)], dim=1)
    volume_nm = gram_volume(joined_bmd).view(texts, items).float()
    torch.testing.assert_close(volume_nm, case.published_nm, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PLAIN_CASES)
def test_gradients_are_the_published_ones(read: Callable[[str], Case], name: str) -> None:
    case = read(name)
    anchor_nd, vector_mkd = gradients(case)
    assert is_near(anchor_nd, case.anchor_gradient_nd, tolerance=1e-6)
    assert is_near(vector_mkd, case.vector_gradient_mkd, tolerance=1e-6)


def is_near(value: Tensor, expected: Tensor, *, tolerance: float) -> bool:
    """Compare by the length of the difference, relative to the length of what is expected."""
    return bool((value - expected).norm() <= tolerance * expected.norm())


@pytest.mark.parametrize(("name", "tolerance"), NEAR_CASES)
def test_vectors_that_agree_are_told_apart(
    read: Callable[[str], Case], name: str, tolerance: float
) -> None:
    case = read(name)
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).double()
    torch.testing.assert_close(volume_nm, case.exact_nm, rtol=tolerance, atol=0)


@pytest.mark.parametrize(("name", "tolerance"), NEAR_CASES)
def test_gradients_of_vectors_that_agree_are_the_published_ones(
    read: Callable[[str], Case], name: str, tolerance: float
) -> None:
    case = read(name)
    anchor_nd, vector_mkd = gradients(case)
    assert is_near(anchor_nd, case.anchor_gradient_nd, tolerance=tolerance)
    assert is_near(vector_mkd, case.vector_gradient_mkd, tolerance=tolerance)


@pytest.mark.parametrize("name", FLAT_CASES)
def test_vectors_that_cannot_be_told_apart_span_next_to_nothing(
    read: Callable[[str], Case], name: str
) -> None:
    case = read(name)
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).double()
    assert (volume_nm - case.exact_nm).abs().max() <= 1.001 * FLOOR**0.5


@pytest.mark.parametrize("name", FLAT_CASES)
def test_vectors_that_cannot_be_told_apart_have_finite_gradients(
    read: Callable[[str], Case], name: str
) -> None:
    anchor_nd, vector_mkd = gradients(read(name))
    assert torch.isfinite(anchor_nd).all()
    assert torch.isfinite(vector_mkd).all()
