"""The pairwise volume beside the textbook form and beside its bare matrix products.

Shape letters of this file: N texts, M items, K vectors of an item, D embedding width.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.timing import Measured, Medians, in_turns, peak_mib
from gram.volume import MEMORY_MIB, pairwise_volume

WIDTH = 512
COUNTS = (2, 3, 4)
"""Vectors of an item; with the text one more."""
TURNS = {1000: 5, 4000: 3}
"""Turns for every number of texts and of items."""
ERROR_DRAWS = 9
"""Draws of vectors whose largest error is looked for."""
TEXTBOOK_MATRICES = 2**24
"""5 x 5 matrices that the textbook form may hold at once, of forward alone; 1.6 GiB in float32."""

Form = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one size: forms by name."""

    device: str
    size: int
    count: int
    direction: str
    medians: dict[str, Medians]
    memory_mib: dict[str, float]


def textbook_volume(anchors_nd: Tensor, vectors_mkd: Tensor) -> Tensor:
    """Compute what ``pairwise_volume`` does, by the determinant of every pair's Gram matrix.

    Returns:
        Volumes, float, shape (N, M), unitless.
    """
    vectors_kmd, pairs = vectors_mkd.unbind(dim=1), (len(anchors_nd), len(vectors_mkd))
    along = [anchors_nd @ vectors_md.mT for vectors_md in vectors_kmd]
    squared = anchors_nd.square().sum(dim=-1).unsqueeze(1).expand(pairs)
    rows = [torch.stack([squared, *along], dim=-1)]
    for vectors_md, along_nm in zip(vectors_kmd, along, strict=True):
        own = [(vectors_md * other_md).sum(dim=-1).expand(pairs) for other_md in vectors_kmd]
        rows.append(torch.stack([along_nm, *own], dim=-1))
    # The determinant of vectors that do not agree is far from 0, so that the root has a gradient.
    volume_nm: Tensor = torch.linalg.det(torch.stack(rows, dim=-2)).abs().sqrt()
    return volume_nm


def bare_products(anchors_nd: Tensor, vectors_mkd: Tensor) -> Tensor:
    """Multiply all texts with all vectors, and do nothing with it: no form does with less."""
    return anchors_nd @ vectors_mkd.flatten(0, 1).mT


FORMS: dict[str, Form] = {
    "textbook": textbook_volume,
    "gram": pairwise_volume,
    "products": bare_products,
}
"""What takes turns."""


def draw(size: int, count: int, *, device: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw texts (N, D) and items (N, K, D) that agree somewhat, of unit length."""
    generator = torch.Generator().manual_seed(size + seed)
    anchors_nd = normalize(torch.randn(size, WIDTH, generator=generator), dim=-1)
    noise_mkd = torch.randn(size, count, WIDTH, generator=generator)
    vectors_mkd = normalize(anchors_nd[:, None] + 0.02 * noise_mkd, dim=-1)
    return anchors_nd.to(device), vectors_mkd.to(device)


def forward(form: Form, anchors_nd: Tensor, vectors_mkd: Tensor, *, step: int) -> Measured:
    """Give a call of the form, some texts at a time, without gradients."""

    def call() -> list[Tensor]:
        with torch.no_grad():
            return [form(rows_nd, vectors_mkd) for rows_nd in anchors_nd.split(step)]

    return call


def there_and_back(form: Form, anchors_nd: Tensor, vectors_mkd: Tensor, *, step: int) -> Measured:
    """Give a call of the form and of its gradients, some texts at a time."""
    anchors_nd = anchors_nd.clone().requires_grad_()
    vectors_mkd = vectors_mkd.clone().requires_grad_()

    def call() -> None:
        anchors_nd.grad = vectors_mkd.grad = None
        for rows_nd in anchors_nd.split(step):
            form(rows_nd, vectors_mkd).sum().backward()

    return call


def measure_volume(device: str, tell: Callable[[str], None]) -> list[Row]:
    """Measure all sizes, forward, and forward and backward; tell each row when it is there."""
    rows = []
    for size, turns in TURNS.items():
        for count in COUNTS:
            anchors_nd, vectors_mkd = draw(size, count, device=device)
            for name, calls, copies in (
                ("forward", forward, 1),
                ("forward + backward", there_and_back, 4),
            ):
                step = max(1, TEXTBOOK_MATRICES // (size * copies))
                variants = {
                    form: calls(
                        FORMS[form],
                        anchors_nd,
                        vectors_mkd,
                        step=min(step, size) if form == "textbook" else size,
                    )
                    for form in FORMS
                }
                small = size <= min(TURNS)
                medians = in_turns(variants, turns=turns, device=device, has_warm_up=small)
                memory = {form: peak_mib(call, device=device) for form, call in variants.items()}
                rows.append(
                    Row(
                        device=device,
                        size=size,
                        count=count,
                        direction=name,
                        medians=medians,
                        memory_mib=memory,
                    )
                )
                tell(_line(rows[-1]))
    return rows


def volume_section(device: str, *, tell: Callable[[str], None]) -> str:
    """Measure, and give the section of the page that says what came out."""
    rows = measure_volume(device, tell)
    lines = [
        f"## Pairwise volume, {device}",
        "",
        f"All texts with as many items, width {WIDTH}, float32, `memory_mib={MEMORY_MIB:.0f}`. The "
        "textbook form stacks every pair's Gram matrix and calls `torch.linalg.det`, for as many "
        "texts at once as fit; *products* are the bare matrix products of texts and vectors.",
        "Times are wall-clock seconds, in brackets processor seconds. Memory is the peak above the "
        "inputs, in MiB: the output is in it, and backward the gradients of inputs and output.",
        "",
        "| N = M | vectors with the text | | textbook | gram | products | textbook / gram "
        "| gram / products | memory textbook | gram | products |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in rows),
        "",
        errors_line(device),
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    times = {
        name: f"{one.wall_seconds:.3f} ({one.cpu_seconds:.3f})" for name, one in row.medians.items()
    }

    def ratio(above: str, below: str) -> str:
        one, other = row.medians[above], row.medians[below]
        wall, cpu = one.wall_seconds / other.wall_seconds, one.cpu_seconds / other.cpu_seconds
        return f"{wall:.2f} ({cpu:.2f})"

    cells = [
        str(row.size),
        str(row.count + 1),
        row.direction,
        *times.values(),
        ratio("textbook", "gram"),
        ratio("gram", "products"),
        *(f"{mib:.0f}" for mib in row.memory_mib.values()),
    ]
    return f"| {' | '.join(cells)} |"


def errors_line(device: str) -> str:
    """Give each form's largest difference from the textbook form in float64."""
    errors: dict[str, list[float]] = {"textbook": [], "gram": []}
    for draws in range(ERROR_DRAWS):
        anchors_nd, vectors_mkd = draw(200, max(COUNTS), device=device, seed=draws)
        exact_nm = textbook_volume(anchors_nd.double(), vectors_mkd.double())
        for name, found in errors.items():
            found.append((FORMS[name](anchors_nd, vectors_mkd) - exact_nm).abs().max().item())
    medians = {name: statistics.median(found) for name, found in errors.items()}
    return (
        f"Largest error against float64, 200 x 200 pairs of {max(COUNTS) + 1} vectors, median of "
        f"{ERROR_DRAWS} draws: textbook {medians['textbook']:.1e}, gram {medians['gram']:.1e}."
    )
