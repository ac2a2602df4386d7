"""The random choices of one item in one epoch, from (seed, epoch, item) alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gram.data.transforms import Crop


class Draws(NamedTuple):
    """All random choices, in [0, 1).

    Attributes:
        caption: Which caption.
        frames_f: Which frame (and depth map) of each segment, shape (F,).
        crop: One crop and flip for all frames and all depth maps.
        slices_c: Which slice of sound of each segment, shape (C,).
    """

    caption: float
    frames_f: NDArray[np.float64]
    crop: Crop
    slices_c: NDArray[np.float64]


def draw(*, seed: int, epoch: int, item: int, num_frames: int, num_slices: int) -> Draws:
    """Draw everything, needed or not, so that runs of other modalities choose the same."""
    rng = np.random.default_rng((seed, epoch, item))
    caption, area, top, left, flip = rng.random(5).tolist()
    return Draws(
        caption=caption,
        frames_f=rng.random(num_frames),
        crop=Crop(area=area, top=top, left=left, is_flipped=flip < 0.5),
        slices_c=rng.random(num_slices),
    )
