"""Volumes that the published code gave, beside determinants in double precision.

Which cases there are, and how much they can tell, is read from the recording. With eps the
rounding of float32, a squared distance from a span is a difference of products and right to a few
eps, so a distance d is right to a few eps / d, and its gradient, relatively, to a few eps / d^2.
What lies below the root of the floor is noise.

Shape letters of this file: N texts, M items, K vectors of an item, C = K + 1 with the text, D
width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from gram.volume import FLOOR, gram_volume, pairwise_volume
from tests.golden.recording import facts_of

Read = Callable[[str], Any]

RECORDING = "01_volume"

FEW = 32
"""Roundings that a sum of products may take part in, unitless; measured: below 8."""

CLEAR = 0.05
"""Smallest distance at which float32 determinants are right to 1e-5, as a share of the length."""


class Case(NamedTuple):
    """Texts and items, what they gave, and their lengths and distances in float64."""

    anchors_nd: Tensor
    vectors_mkd: Tensor
    published_nm: Tensor
    exact_nm: Tensor
    anchor_gradient_nd: Tensor
    vector_gradient_mkd: Tensor
    scale_nm: Tensor
    distance_nm: Tensor
    own_height_m: Tensor

    @property
    def eps(self) -> float:
        """The rounding of the type."""
        return torch.finfo(self.anchors_nd.dtype).eps

    @property
    def nearest(self) -> float:
        """The smallest distance of a vector from the others of its tuple before it."""
        return min(self.distance_nm.min().item(), self.own_height_m.min().item())


@pytest.fixture(params=list(facts_of(RECORDING)["cases"]))
def name(request: pytest.FixtureRequest) -> str:
    """Give the name of each case."""
    return str(request.param)


@pytest.fixture
def case(golden: Read, name: str) -> Case:
    """Read the case of this name."""
    recording = golden(RECORDING)
    start = f"{name}.in."
    names = [key.removeprefix(start) for key in recording.facts["tensors"] if key.startswith(start)]
    names.sort(key=lambda one: one != "language")
    vectors, gradients = (
        [recording.tensors[f"{name}.{kind}.{one}"] for one in names]
        for kind in ("in", "grad_of_mean")
    )
    anchors_nd, vectors_mkd = vectors[0], torch.stack(vectors[1:], dim=1)
    lengths_mk = vectors_mkd.double().norm(dim=-1)
    heights_mk, distance_nm = heights_by_qr(anchors_nd.double(), vectors_mkd.double())
    return Case(
        anchors_nd=anchors_nd,
        vectors_mkd=vectors_mkd,
        published_nm=recording.tensors[f"{name}.out.volume"],
        exact_nm=recording.tensors[f"{name}.ref64.det"].clamp_min(0).sqrt(),
        anchor_gradient_nd=gradients[0],
        vector_gradient_mkd=torch.stack(gradients[1:], dim=1),
        scale_nm=anchors_nd.double().norm(dim=-1)[:, None] * lengths_mk.prod(dim=-1),
        distance_nm=distance_nm / anchors_nd.double().norm(dim=-1)[:, None],
        own_height_m=(heights_mk / lengths_mk).amin(dim=-1),
    )


def heights_by_qr(anchors_nd: Tensor, vectors_mkd: Tensor) -> tuple[Tensor, Tensor]:
    """Give heights of the items' vectors (M, K), and distances of the texts from spans (N, M)."""
    orthonormal, triangle = torch.linalg.qr(vectors_mkd.mT)
    along_nmk = torch.einsum("nd,mdk->nmk", anchors_nd, orthonormal)
    nearest_nmd = torch.einsum("nmk,mdk->nmd", along_nmk, orthonormal)
    return triangle.diagonal(dim1=1, dim2=2).abs(), (anchors_nd[:, None] - nearest_nmd).norm(dim=-1)


def possible_error(case: Case) -> Tensor:
    """Give how far a volume may be from the exact one, (N, M), when products round to eps."""
    root = FLOOR**0.5
    distance_nm, own_m = case.distance_nm.clamp_min(root), case.own_height_m.clamp_min(root)
    of_text_nm = (FEW * case.eps / distance_nm).clamp_max(root)
    is_low_nm = case.distance_nm < 2 * root
    of_text_nm = torch.where(is_low_nm, root, of_text_nm)
    of_item_m = torch.where(case.own_height_m < 2 * root, root, FEW * case.eps / own_m)
    return 1.01 * case.scale_nm * (of_text_nm + of_item_m) + 1e-14


def by_determinant(anchors_nd: Tensor, vectors_mkd: Tensor) -> Tensor:
    """Give the volumes by the determinant of every pair's Gram matrix, in the type given."""
    anchors, items = len(anchors_nd), len(vectors_mkd)
    joined_nmcd = torch.cat(
        [
            anchors_nd.view(anchors, 1, 1, -1).expand(-1, items, -1, -1),
            vectors_mkd.expand(anchors, *vectors_mkd.shape),
        ],
        dim=2,
    )
    return torch.linalg.det(joined_nmcd @ joined_nmcd.mT).clamp_min(0).sqrt()


def gradients(
    form: Callable[[Tensor, Tensor], Tensor], anchors_nd: Tensor, vectors_mkd: Tensor
) -> tuple[Tensor, Tensor]:
    """Give the gradients of the mean volume: of the anchors and of the vectors."""
    inputs = (anchors_nd.clone().requires_grad_(), vectors_mkd.clone().requires_grad_())
    anchor_nd, vector_mkd = torch.autograd.grad(form(*inputs).mean(), inputs)
    return anchor_nd, vector_mkd


def relative_difference(value: Tensor, expected: Tensor) -> float:
    """Give the length of the difference by the length of what is expected."""
    return float((value - expected).norm() / expected.norm())


def only_if(is_so: bool, reason: str) -> None:
    if not is_so:
        pytest.skip(reason)


def test_volumes_are_the_published_ones(case: Case) -> None:
    only_if(case.nearest > CLEAR, "float32 determinants are not right to 1e-5 this near to 0")
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).float()
    assert ((volume_nm - case.published_nm).abs() <= 1e-5 * case.scale_nm.clamp_min(1)).all()


def test_volumes_are_those_of_double_precision(case: Case) -> None:
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).double()
    assert ((volume_nm - case.exact_nm).abs() <= possible_error(case)).all()


def test_volumes_of_joined_tuples_are_those_of_double_precision(case: Case) -> None:
    texts, items = len(case.anchors_nd), len(case.vectors_mkd)
    anchors_bd = case.anchors_nd.repeat_interleave(items, dim=0).unsqueeze(1)
    joined_bcd = torch.cat([anchors_bd, case.vectors_mkd.repeat(texts, 1, 1)], dim=1)
    volume_nm = gram_volume(joined_bcd).view(texts, items).double()
    assert ((volume_nm - case.exact_nm).abs() <= possible_error(case)).all()


def test_volumes_are_not_farther_off_than_determinants(case: Case) -> None:
    only_if(case.anchors_nd.dtype == torch.float32, "in float64 what is exact is a determinant too")
    volume_nm = pairwise_volume(case.anchors_nd, case.vectors_mkd).double()
    naive_nm = by_determinant(case.anchors_nd, case.vectors_mkd).double()
    ours, naive = ((one_nm - case.exact_nm).abs().max() for one_nm in (volume_nm, naive_nm))
    assert ours <= naive + 4 * case.eps * case.scale_nm.max()


def test_the_type_of_the_input_is_kept(case: Case) -> None:
    assert pairwise_volume(case.anchors_nd, case.vectors_mkd).dtype == case.anchors_nd.dtype


@pytest.mark.parametrize("which", [0, 1], ids=["of_texts", "of_vectors"])
def test_gradients_are_the_published_ones(case: Case, which: int) -> None:
    only_if(case.nearest > CLEAR, "float32 determinants have no such gradient this near to 0")
    published = (case.anchor_gradient_nd, case.vector_gradient_mkd)[which]
    ours = gradients(pairwise_volume, case.anchors_nd, case.vectors_mkd)[which]
    assert relative_difference(ours, published) <= 1e-4


@pytest.mark.parametrize("which", [0, 1], ids=["of_texts", "of_vectors"])
def test_gradients_are_those_of_double_precision(case: Case, which: int) -> None:
    only_if(case.nearest > 3 * FLOOR**0.5, "heights near their floor have another gradient")
    exact = gradients(by_determinant, case.anchors_nd.double(), case.vectors_mkd.double())[which]
    ours = gradients(pairwise_volume, case.anchors_nd, case.vectors_mkd)[which]
    rounding = max(FEW * case.eps, 1e-9)  # the determinant in float64 is not exact itself
    assert relative_difference(ours, exact) <= rounding / case.nearest**2


def test_gradients_are_finite(case: Case) -> None:
    anchor_nd, vector_mkd = gradients(pairwise_volume, case.anchors_nd, case.vectors_mkd)
    assert torch.isfinite(anchor_nd).all()
    assert torch.isfinite(vector_mkd).all()


def test_the_recording_has_cases_without_a_published_gradient(golden: Read) -> None:
    cases = golden(RECORDING).facts["cases"]
    assert any(facts["any_nan_grad"] for facts in cases.values())
