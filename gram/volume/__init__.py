"""Volume of the parallelotope that embeddings span: of tuples, and of all texts with all items.

Source: the paper, section 3.1 (volume as the root of the Gram determinant). The pairwise forms go
through an orthonormal basis of each item's own vectors, so that N texts against M items cost one
matrix product and never build N x M small matrices. They work tile by tile, forward and backward:
beside inputs, output and gradients they need the memory that ``memory_mib`` grants.

How exact: volumes of tuples and of items' own vectors are computed in float64 and rounded once; a
height below 1e-7 of its vector's length has no gradient. With eps the rounding of the type
(float32: 1.2e-7) and unit vectors, a squared distance of an anchor from an item's span comes from
products and is right to a few eps, so that a distance d is right to a few eps / d, and one below
1e-3 (the root of ``FLOOR``; in float64 1e-7) is noise: it has no gradient. Vectors of other
lengths scale all this with their length, as long as no squared length overflows or underflows.

Every distance here says small is near. All gradients are finite, also of equal, opposite and zero
vectors, and can be taken once, by ``backward`` or ``torch.autograd.grad``: the gradient of a
gradient is refused, and ``torch.func`` does not see through these functions.
"""

from gram.volume.distances import (
    gram_volume,
    nearest_items,
    pairwise_residual,
    pairwise_trusted_residual,
    pairwise_volume,
)
from gram.volume.gradients import FLOOR
from gram.volume.nearest import Nearest
from gram.volume.tiles import MEMORY_MIB

__all__ = [
    "FLOOR",
    "MEMORY_MIB",
    "Nearest",
    "gram_volume",
    "nearest_items",
    "pairwise_residual",
    "pairwise_trusted_residual",
    "pairwise_volume",
]
