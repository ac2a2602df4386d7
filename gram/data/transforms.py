"""Decoded pictures and sound -> model inputs; pure functions.

Pictures are uint8 and stay so until they are on the device. torch scales bytes in two passes and
rounds after each, so that a pixel is within one gray level of what real numbers give; scaling real
numbers and rounding once would halve that and take five times as long. The functions take pictures
of any floating type as well, and then do not round.

Shape letters of this file: F pictures (frames or depth maps), K channels (3 or 1), H and W pixels,
S side of a model picture; N sound samples, T spectrogram frames, M mel bins, P picks.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchaudio.compliance import kaldi

from gram.config import InputsConfig
from gram.data.sound import SAMPLE_RATE_HZ
from gram.device import one_thread

WINDOW_SAMPLES, SHIFT_SAMPLES = 400, 160
"""Kaldi's window and shift: 25 ms and 10 ms."""

PADDED_SAMPLES, PREEMPHASIS, LOWEST_HZ = 512, 0.97, 20.0
"""Kaldi's defaults: length of the transform, share of the sample before, lower end of the bank."""

SMALLEST_AREA = 0.8
"""Least share of the picture's area that a random crop keeps; released code."""


# --- which ones ------------------------------------------------------------------------------


def pick_per_segment(
    count: int, picks: int, *, draws_p: Sequence[float] | NDArray[np.float64] | None
) -> list[int]:
    """Divide a row of things into segments and pick one of each.

    Args:
        count: Number of things, at least 1. The first segments are longer by one where they
            cannot be equal (released code).
        picks: P, number of segments.
        draws_p: Where in its segment each pick lies, in [0, 1); None: in the middle, the earlier
            of two.

    Returns:
        P numbers from 0 to ``count - 1``, rising. Repeated where there are fewer things.

    Example:
        >>> pick_per_segment(32, 4, draws_p=None), pick_per_segment(2, 4, draws_p=None)
        ([3, 11, 19, 27], [0, 0, 1, 1])
    """
    if count <= picks:
        return [number * count // picks for number in range(picks)]
    length, longer = divmod(count, picks)
    chosen, first = [], 0
    for number in range(picks):
        size = length + (number < longer)
        offset = (size - 1) // 2 if draws_p is None else int(draws_p[number] * size)
        chosen.append(first + offset)
        first += size
    return chosen


# --- pictures --------------------------------------------------------------------------------


class Crop(NamedTuple):
    """Draws of one clip's crop, in [0, 1), for pictures of any size.

    Attributes:
        area: Where between the least and the largest area.
        top: Where between the uppermost and the lowest place.
        left: Where between the leftmost and the rightmost place.
        is_flipped: Whether left and right change places.
    """

    area: float
    top: float
    left: float
    is_flipped: bool


def squash(pictures_fkhw: Tensor, *, pixels: int, antialias: bool) -> Tensor:
    """Stretch pictures to squares.

    Args:
        pictures_fkhw: uint8 or floating, shape (F, K, H, W).
        pixels: S.
        antialias: Whether every pixel counts where a picture is scaled down; if not, four pixels
            make a new one, however many lie between them.

    Returns:
        Of the same type, shape (F, K, S, S).
    """
    return _resize(pictures_fkhw, height=pixels, width=pixels, antialias=antialias)


def center_square(pictures_fkhw: Tensor, *, pixels: int, antialias: bool) -> Tensor:
    """Scale the shorter side to S and cut the square in the middle; see ``squash``."""
    height, width = pictures_fkhw.shape[-2:]
    short = min(height, width)
    height, width = pixels * height // short, pixels * width // short
    scaled = _resize(pictures_fkhw, height=height, width=width, antialias=antialias)
    top, left = round((height - pixels) / 2), round((width - pixels) / 2)
    return scaled[..., top : top + pixels, left : left + pixels]


def crop_flip(pictures_fkhw: Tensor, crop: Crop, *, pixels: int, antialias: bool) -> Tensor:
    """Cut the same random square out of all pictures of a clip, and perhaps flip it.

    The square has 0.8 to 1 of the picture's area, as long as it fits. In a picture wider or
    higher than 5:4 none does, and the largest square in the middle is taken (released code).

    Args:
        pictures_fkhw: uint8 or floating, shape (F, K, H, W).
        crop: Draws of the clip.
        pixels: S.
        antialias: As in ``squash``.

    Returns:
        Of the same type, shape (F, K, S, S).
    """
    top, left, side = _square_of(crop, *pictures_fkhw.shape[-2:])
    cut = pictures_fkhw[..., top : top + side, left : left + side]
    scaled = _resize(cut, height=pixels, width=pixels, antialias=antialias)
    return scaled.flip(-1) if crop.is_flipped else scaled


def _square_of(crop: Crop, height: int, width: int) -> tuple[int, int, int]:
    """Give top, left and side of the square that a crop stands for."""
    short, area = min(height, width), height * width
    largest = short**2 / area
    if largest < SMALLEST_AREA:
        return (height - short) // 2, (width - short) // 2, short
    share = SMALLEST_AREA + crop.area * (largest - SMALLEST_AREA)
    side = min(short, round((share * area) ** 0.5))
    return int(crop.top * (height - side + 1)), int(crop.left * (width - side + 1)), side


def _resize(pictures_fkhw: Tensor, *, height: int, width: int, antialias: bool) -> Tensor:
    if pictures_fkhw.shape[-2:] == (height, width):
        return pictures_fkhw
    return functional.interpolate(
        pictures_fkhw, size=(height, width), mode="bilinear", antialias=antialias
    )


# --- sound -----------------------------------------------------------------------------------


def num_bank_frames(num_samples: int) -> int:
    """Give the frames of the filter bank of a sound; at least 1, a shorter sound is padded."""
    return 1 + max(0, num_samples - WINDOW_SAMPLES) // SHIFT_SAMPLES


def num_slices(num_samples: int, inputs: InputsConfig) -> int:
    """Give the number of slices of ``audio_frames`` that a sound is divided into.

    As many as it fills, the last one in part, but at least ``audio_clips``. (The released code
    adds an empty one where the last is full.)
    """
    return max(inputs.audio_clips, -(-num_bank_frames(num_samples) // inputs.audio_frames))


def samples_of_slice(number: int, num_samples: int, inputs: InputsConfig) -> slice:
    """Give the samples that a slice of a sound is computed from; none behind its last frame."""
    first = number * inputs.audio_frames
    end = min(first + inputs.audio_frames, num_bank_frames(num_samples))
    if end <= first:
        return slice(0, 0)
    return slice(first * SHIFT_SAMPLES, (end - 1) * SHIFT_SAMPLES + WINDOW_SAMPLES)


def filter_bank(samples_n: NDArray[np.int16] | NDArray[np.float32], inputs: InputsConfig) -> Tensor:
    """Compute the normalized Kaldi filter bank of a slice of sound.

    Args:
        samples_n: Samples at 16 kHz, mono, int16 or float32 of the same range, -2**15 to 2**15,
            shape (N,). Fewer than a window are padded with silence; none at all give zeros.
        inputs: Mel bins, frames, mean and deviation.

    Returns:
        Log mel energies less the mean, by twice the deviation, float32, shape
        (``audio_frames``, M). Frames behind the end of the sound are 0 (released code). The same
        samples give the same bytes, whatever number of threads torch computes on.
    """
    bank_tm = torch.zeros(inputs.audio_frames, inputs.mel_bins)
    if not len(samples_n):
        return bank_tm
    wave_n = torch.from_numpy(samples_n.astype(np.float32))
    if len(wave_n) < WINDOW_SAMPLES:
        wave_n = functional.pad(wave_n, (0, WINDOW_SAMPLES - len(wave_n)))
    with one_thread():  # where two share the product of a short sound, it ends in other bits
        energies_tm = log_mel_energies(wave_n, num_mel_bins=inputs.mel_bins)
    energies_tm = energies_tm[: inputs.audio_frames]
    bank_tm[: len(energies_tm)] = energies_tm.sub_(inputs.audio_mean).div_(2 * inputs.audio_std)
    return bank_tm


def log_mel_energies(wave_n: Tensor, *, num_mel_bins: int) -> Tensor:
    """Compute what ``torchaudio.compliance.kaldi.fbank`` does by default, bit for bit.

    Window and mel bank are torchaudio's, made once, and fewer copies are made.

    Args:
        wave_n: Samples at 16 kHz, float32, shape (N,), N at least a window.
        num_mel_bins: M.

    Returns:
        Natural logarithm of the energies, float32, shape (T, M).
    """
    window_n, bank_mb = _kaldi_tables(num_mel_bins)
    frames_tn = wave_n.unfold(0, WINDOW_SAMPLES, SHIFT_SAMPLES)
    frames_tn = frames_tn - frames_tn.mean(dim=1, keepdim=True)
    sharp_tn = torch.empty_like(frames_tn)
    torch.mul(frames_tn[:, :-1], PREEMPHASIS, out=sharp_tn[:, 1:])
    torch.mul(frames_tn[:, 0], PREEMPHASIS, out=sharp_tn[:, 0])  # nothing is before the first
    torch.sub(frames_tn, sharp_tn, out=sharp_tn)
    spectrum_tb = torch.fft.rfft(sharp_tn.mul_(window_n), n=PADDED_SAMPLES)
    energies_tm: Tensor = spectrum_tb.abs().square_() @ bank_mb.T
    return energies_tm.clamp_min_(torch.finfo(torch.float32).eps).log_()


@lru_cache
def _kaldi_tables(num_mel_bins: int) -> tuple[Tensor, Tensor]:
    """Give Kaldi's default window (N,), and its mel bank, shape (M, frequencies)."""
    window_n = torch.hann_window(WINDOW_SAMPLES, periodic=False).pow(0.85)  # Povey's
    bank_mb, _ = kaldi.get_mel_banks(
        num_mel_bins, PADDED_SAMPLES, SAMPLE_RATE_HZ, LOWEST_HZ, 0.0, 100.0, -500.0, 1.0
    )
    return window_n, functional.pad(bank_mb, (0, 1))
