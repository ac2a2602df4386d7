from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchaudio.compliance import kaldi

from gram.config import InputsConfig
from gram.data.transforms import (
    Crop,
    center_square,
    crop_flip,
    filter_bank,
    log_mel_energies,
    num_bank_frames,
    num_slices,
    pick_per_segment,
    samples_of_slice,
    squash,
)

MIDDLE = Crop(area=0.5, top=0.5, left=0.5, is_flipped=False)

Transform = Callable[..., torch.Tensor]

TRANSFORMS = pytest.mark.parametrize(
    "transform",
    [squash, center_square, lambda frames, **sizes: crop_flip(frames, MIDDLE, **sizes)],
    ids=["squash", "center_square", "crop_flip"],
)
ANTIALIAS = pytest.mark.parametrize("antialias", [True, False], ids=["antialias", "plain"])


def inputs(frames: int = 64, clips: int = 1) -> InputsConfig:
    return InputsConfig(audio_frames=frames, audio_clips=clips)


def noise(num_samples: int) -> NDArray[np.int16]:
    return np.random.default_rng(0).normal(0, 3000, num_samples).astype(np.int16)


def ramp(height: int, width: int) -> torch.Tensor:
    """A picture whose red tells the column and whose green the row: uint8, shape (1, 3, H, W)."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows, torch.zeros_like(rows)]).unsqueeze(0).to(torch.uint8)


def noisy_pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8, generator=generator)


# --- which ones ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "picks"),
    [(1, 1), (2, 1), (2, 2), (7, 2), (7, 3), (8, 8), (9, 8), (31, 8), (32, 8)],
)
def test_middles_are_those_of_the_released_code(count: int, picks: int) -> None:
    parts = np.array_split(np.arange(count), picks)
    assert pick_per_segment(count, picks, draws_p=None) == [
        int(part[(len(part) + 1) // 2 - 1]) for part in parts
    ]


@pytest.mark.parametrize("draw", [0.0, 0.5, np.nextafter(1, 0)])
@pytest.mark.parametrize("count", [8, 9, 31])
def test_each_draw_stays_in_its_segment(count: int, draw: float) -> None:
    parts = np.array_split(np.arange(count), 8)
    chosen = pick_per_segment(count, 8, draws_p=[draw] * 8)
    assert all(number in part for number, part in zip(chosen, parts, strict=True))


def test_draws_reach_every_place_of_a_segment() -> None:
    chosen = {pick_per_segment(3, 1, draws_p=[draw])[0] for draw in (0.1, 0.5, 0.9)}
    assert chosen == {0, 1, 2}


def test_fewer_things_than_picks_are_repeated_in_order() -> None:
    assert pick_per_segment(3, 8, draws_p=[0.9] * 8) == [0, 0, 0, 1, 1, 1, 2, 2]


# --- pictures --------------------------------------------------------------------------------


def test_squashing_keeps_the_whole_picture() -> None:
    squashed = squash(ramp(48, 96), pixels=24, antialias=True)
    assert squashed[0, 0, 0].tolist() == pytest.approx(np.arange(24) * 4 + 1.5, abs=1)


def test_the_middle_square_is_as_high_as_the_picture() -> None:
    cut = center_square(ramp(48, 96), pixels=48, antialias=True)
    assert cut.equal(ramp(48, 96)[..., 24:72])


def test_the_middle_square_is_cut_after_scaling() -> None:
    cut = center_square(ramp(48, 96), pixels=24, antialias=True)
    assert cut[0, 0, 0].tolist() == pytest.approx(24 + np.arange(24) * 2 + 0.5, abs=1)


def test_the_middle_square_of_an_upright_picture_is_as_wide_as_it() -> None:
    assert center_square(ramp(96, 48), pixels=48, antialias=True).equal(ramp(96, 48)[..., 24:72, :])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 96), (96, 48), (7, 11), (64, 64)])
def test_all_transforms_give_squares_of_bytes(size: tuple[int, int], channels: int) -> None:
    pictures = torch.zeros(5, channels, *size, dtype=torch.uint8)
    made = [
        squash(pictures, pixels=32, antialias=True),
        center_square(pictures, pixels=32, antialias=True),
        crop_flip(pictures, MIDDLE, pixels=32, antialias=True),
    ]
    assert {(tuple(one.shape), one.dtype) for one in made} == {((5, channels, 32, 32), torch.uint8)}


def crop_side(height: int, width: int, area: float) -> float:
    """Length of the side of a random crop, in pixels, seen from the columns that it shows."""
    columns = crop_flip(ramp(height, width), MIDDLE._replace(area=area), pixels=16, antialias=True)[
        0, 0, 0
    ].float()
    return float(columns[-2] - columns[1]) * 16 / 13


@pytest.mark.parametrize(("area", "share"), [(0.0, 0.8), (0.5, 0.9), (0.9999, 1.0)])
def test_a_crop_has_the_drawn_share_of_a_square_picture(area: float, share: float) -> None:
    assert crop_side(200, 200, area) == pytest.approx(200 * share**0.5, abs=2)


def test_a_crop_of_a_nearly_square_picture_fits_into_it() -> None:
    assert crop_side(200, 220, 0.9999) == pytest.approx(200, abs=2)


@pytest.mark.parametrize("area", [0.0, 0.9999])
def test_a_wide_picture_is_always_cut_to_its_middle_square(area: float) -> None:
    crop = Crop(area=area, top=0.9, left=0.9, is_flipped=False)
    assert crop_flip(ramp(48, 96), crop, pixels=48, antialias=True).equal(ramp(48, 96)[..., 24:72])


@pytest.mark.parametrize(("place", "first"), [(0.0, 0), (0.9999, 200 - 179)])
def test_a_crop_reaches_from_edge_to_edge(place: float, first: int) -> None:
    crop = Crop(area=0.0, top=place, left=place, is_flipped=False)
    corner = crop_flip(ramp(200, 200), crop, pixels=179, antialias=True)[0, :2, 0, 0]
    assert corner.tolist() == [first, first]


def test_a_flip_changes_left_and_right() -> None:
    flipped = crop_flip(ramp(64, 64), MIDDLE._replace(is_flipped=True), pixels=32, antialias=True)
    assert flipped.equal(crop_flip(ramp(64, 64), MIDDLE, pixels=32, antialias=True).flip(-1))


def test_all_frames_of_a_clip_are_cut_alike() -> None:
    frames = ramp(64, 64).expand(4, -1, -1, -1)
    cut = crop_flip(frames, MIDDLE, pixels=32, antialias=True)
    assert all(frame.equal(cut[0]) for frame in cut)


def test_depth_of_another_size_is_cut_at_the_same_place() -> None:
    crop = Crop(area=0.0, top=0.9, left=0.2, is_flipped=True)
    large = crop_flip(ramp(200, 200), crop, pixels=20, antialias=True).float()
    small = crop_flip(ramp(100, 100), crop, pixels=20, antialias=True).float()
    assert (large - 2 * small).abs().max() <= 3


def test_scaling_down_takes_every_pixel_into_account() -> None:
    stripes = (torch.arange(256) % 2 * 255).to(torch.uint8).expand(1, 3, 256, 256)
    inner = squash(stripes, pixels=16, antialias=True)[..., 1:-1].float()
    assert (inner - 127.5).abs().max() <= 2


def test_without_antialias_scaling_down_leaves_pixels_out() -> None:
    points = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
    points[..., ::16, ::16] = 255  # new pixels are made of the four around the middle of 16 by 16
    assert squash(points, pixels=16, antialias=False).max() == 0


@ANTIALIAS
@TRANSFORMS
def test_memory_order_does_not_change_pixels(transform: Transform, antialias: bool) -> None:
    frames = noisy_pictures()
    other = frames.contiguous(memory_format=torch.channels_last)
    one, another = (transform(order, pixels=24, antialias=antialias) for order in (frames, other))
    assert one.equal(another)


@ANTIALIAS
@TRANSFORMS
def test_bytes_are_within_a_gray_level_of_real_numbers(
    transform: Transform, antialias: bool
) -> None:
    frames = noisy_pictures()
    exact = transform(frames.double(), pixels=24, antialias=antialias)
    error = transform(frames, pixels=24, antialias=antialias) - exact
    assert error.abs().max() <= 1.01


@ANTIALIAS
@TRANSFORMS
def test_bytes_are_neither_lighter_nor_darker_than_real_numbers(
    transform: Transform, antialias: bool
) -> None:
    frames = noisy_pictures()
    exact = transform(frames.double(), pixels=24, antialias=antialias)
    error = transform(frames, pixels=24, antialias=antialias) - exact
    assert error.mean().abs() <= 0.05


@ANTIALIAS
@TRANSFORMS
def test_real_numbers_stay_what_they_are(transform: Transform, antialias: bool) -> None:
    scaled = transform(noisy_pictures().double() / 255, pixels=24, antialias=antialias)
    assert scaled.dtype == torch.float64


# --- sound -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 1), (399, 1), (400, 1), (559, 1), (560, 2), (16_000, 98)]
)
def test_a_sound_has_a_frame_for_each_whole_window(samples: int, frames: int) -> None:
    assert num_bank_frames(samples) == frames


def test_the_number_of_frames_is_kaldis() -> None:
    bank = kaldi.fbank(torch.zeros(1, 12_345), num_mel_bins=64, sample_frequency=16_000)
    assert num_bank_frames(12_345) == len(bank)


@pytest.mark.parametrize(
    ("frames", "slices"), [(1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (129, 3)]
)
def test_a_full_last_slice_adds_no_empty_one(frames: int, slices: int) -> None:
    assert num_slices(400 + 160 * (frames - 1), inputs(frames=64)) == slices


def test_there_are_as_many_slices_as_are_taken() -> None:
    assert num_slices(1000, inputs(clips=4)) == 4


def test_slices_together_are_the_whole_filter_bank() -> None:
    samples_n = noise(32_000)
    whole = filter_bank(samples_n, inputs(frames=256))[: num_bank_frames(32_000)]
    short = inputs(frames=64)
    parts = [
        filter_bank(samples_n[samples_of_slice(number, 32_000, short)], short)
        for number in range(num_slices(32_000, short))
    ]
    assert torch.cat(parts)[: len(whole)].equal(whole)


@pytest.mark.parametrize("level", [0, 1, 300, 20_000])
@pytest.mark.parametrize("bins", [23, 64, 128])
@pytest.mark.parametrize("samples", [400, 559, 16_000, 160_240])
def test_energies_are_torchaudios_bit_for_bit(level: int, bins: int, samples: int) -> None:
    wave_n = (level * torch.randn(samples, generator=torch.Generator().manual_seed(0))).round()
    wanted = kaldi.fbank(wave_n.unsqueeze(0), num_mel_bins=bins, sample_frequency=16_000)
    assert torch.equal(log_mel_energies(wave_n, num_mel_bins=bins), wanted)


def test_a_filter_bank_is_kaldis_normalized() -> None:
    samples_n = noise(16_000)
    wave = torch.from_numpy(samples_n.astype(np.float32) / 2**15).unsqueeze(0)
    kaldis = kaldi.fbank(wave * 2**15, num_mel_bins=64, sample_frequency=16_000)
    wanted = (kaldis[:64] - 15.41663) / (2 * 6.55582)
    assert torch.allclose(filter_bank(samples_n, inputs(frames=64)), wanted, atol=1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_a_filter_bank_does_not_depend_on_the_threads_that_torch_has(
    threads: int, threads_of_torch: Callable[[int], None]
) -> None:
    sounds = [noise(400 + 137 * number) for number in range(60)]
    wanted = [filter_bank(samples_n, inputs(frames=64)) for samples_n in sounds]
    threads_of_torch(threads)
    found = [filter_bank(samples_n, inputs(frames=64)) for samples_n in sounds]
    assert [bank.tolist() for bank in found] == [bank.tolist() for bank in wanted]


def test_the_threads_that_torch_has_stay_what_they_are(
    threads_of_torch: Callable[[int], None],
) -> None:
    threads_of_torch(2)
    filter_bank(noise(400), inputs(frames=64))
    assert torch.get_num_threads() == 2


def test_samples_may_be_real_numbers_of_the_same_range() -> None:
    samples_n = noise(16_000)
    real = filter_bank(samples_n.astype(np.float32), inputs(frames=64))
    assert real.equal(filter_bank(samples_n, inputs(frames=64)))


def test_behind_the_end_of_the_sound_are_zeros() -> None:
    assert filter_bank(noise(400), inputs(frames=64))[1:].abs().max() == 0


def test_silence_is_not_zero() -> None:
    silent = filter_bank(np.zeros(16_000, np.int16), inputs(frames=64))
    assert silent.max() < -1


def test_no_sound_at_all_is_zeros() -> None:
    assert filter_bank(np.zeros(0, np.int16), inputs(frames=64)).abs().max() == 0


@pytest.mark.parametrize("num_samples", [1, 399])
def test_a_very_short_sound_has_one_frame(num_samples: int) -> None:
    bank = filter_bank(noise(num_samples), inputs(frames=64))
    assert bank.abs().sum(dim=1).nonzero().flatten().tolist() == [0]


def test_a_slice_behind_the_end_takes_no_samples() -> None:
    assert samples_of_slice(3, 1000, inputs(frames=64, clips=4)) == slice(0, 0)


@pytest.mark.parametrize("bins", [32, 64, 128])
def test_a_filter_bank_has_the_size_that_is_set(bins: int) -> None:
    settings = InputsConfig(mel_bins=bins, audio_frames=48)
    assert filter_bank(noise(8000), settings).shape == (48, bins)
