"""What is measured of a clip while it is decoded: how loud, how silent and how black it is.

Shape letters of this file: N samples; W windows of the sound; H and W pixels, C channels.
"""

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32768.0
"""Value of a 16-bit sample that counts as 0 dB."""

FLOOR_DBFS = -120.0
"""Loudness of a sound whose samples are all 0, in dB; a single 1 in a minute is above it."""

SILENT_DBFS = -60.0
"""A tenth of a second that is not louder counts as silent, in dB."""

BLACK_LEVEL, BLACK_PIXELS = 32, 0.98
"""A frame is black if this share of its pixels is darker than this level in all channels; the
values are those of ffmpeg's filter blackframe."""

_STEP = 4  # every fourth pixel each way tells as much, at a sixteenth of the cost


def loudness_dbfs(samples_n: NDArray[np.int16]) -> float | None:
    """Give the root mean square of a sound in dB; None if it is empty.

    A sine of full scale has -3.01; what has no sound at all has ``FLOOR_DBFS``.
    """
    if not len(samples_n):
        return None
    return _decibels(float(np.sum(_energies(samples_n, window=len(samples_n)))) / len(samples_n))


def silent_share(samples_n: NDArray[np.int16], *, sample_rate_hz: int) -> float | None:
    """Give the share of tenths of a second that are silent; None if the sound is empty.

    A rest at the end that is shorter is left out, unless it is all there is.
    """
    if not len(samples_n):
        return None
    window = min(sample_rate_hz // 10, len(samples_n))
    limit = window * (FULL_SCALE * 10 ** (SILENT_DBFS / 20)) ** 2
    return float(np.mean(_energies(samples_n, window=window) <= limit))


def is_black(picture_hwc: NDArray[np.uint8]) -> bool:
    """Tell whether a picture shows nothing: RGB, values 0 to 255, shape (H, W, 3)."""
    dark_hw = picture_hwc[::_STEP, ::_STEP].max(axis=2) < BLACK_LEVEL
    return bool(dark_hw.mean() >= BLACK_PIXELS)


def _energies(samples_n: NDArray[np.int16], *, window: int) -> NDArray[np.float64]:
    """Give the sum of squares of each whole window, without a copy of the samples as floats."""
    windows = samples_n[: len(samples_n) // window * window].reshape(-1, window)
    energies_w: NDArray[np.float64] = np.einsum("wn,wn->w", windows, windows, dtype=np.float64)
    return energies_w


def _decibels(mean_square: float) -> float:
    if mean_square <= 0:
        return FLOOR_DBFS
    return max(20 * math.log10(math.sqrt(mean_square) / FULL_SCALE), FLOOR_DBFS)
