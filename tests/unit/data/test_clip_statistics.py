import numpy as np
import pytest

from gram.data.clip_statistics import FLOOR_DBFS, is_black, loudness_dbfs, silent_share

RATE = 16_000


def sine(seconds: float, *, amplitude: float) -> np.ndarray:
    time_n = np.arange(round(seconds * RATE)) / RATE
    return np.round(32767 * amplitude * np.sin(2 * np.pi * 440 * time_n)).astype(np.int16)


@pytest.mark.parametrize(
    ("amplitude", "expected"), [(1, -3.01), (0.1, -23.01), (0.01, -43.01)], ids=str
)
def test_loudness_is_the_root_mean_square_below_full_scale(
    amplitude: float, expected: float
) -> None:
    assert loudness_dbfs(sine(1.0, amplitude=amplitude)) == pytest.approx(expected, abs=0.05)


def test_loudness_is_that_of_all_samples() -> None:
    samples_n = np.random.default_rng(0).integers(-9000, 9000, 54_321).astype(np.int16)
    plain = np.sqrt(np.mean((samples_n.astype(float) / 32768) ** 2))
    assert loudness_dbfs(samples_n) == pytest.approx(20 * np.log10(plain))


def test_the_loudest_samples_do_not_overflow() -> None:
    assert loudness_dbfs(np.full(RATE * 600, -32768, np.int16)) == pytest.approx(0.0)


def test_a_sound_of_zeros_has_a_finite_loudness() -> None:
    assert loudness_dbfs(np.zeros(RATE, np.int16)) == FLOOR_DBFS


def test_what_has_no_sound_has_no_loudness_and_no_silence() -> None:
    nothing = np.zeros(0, np.int16)
    assert loudness_dbfs(nothing) is None
    assert silent_share(nothing, sample_rate_hz=RATE) is None


@pytest.mark.parametrize("silent_seconds", [0.0, 0.3, 1.5])
def test_the_silent_share_counts_tenths_of_a_second(silent_seconds: float) -> None:
    silence = np.zeros(round(silent_seconds * RATE), np.int16)
    samples_n = np.concatenate([sine(1.5, amplitude=0.1), silence])
    share = silent_share(samples_n, sample_rate_hz=RATE)
    assert share == pytest.approx(silent_seconds / (1.5 + silent_seconds))


@pytest.mark.parametrize(("level", "share"), [(20, 1.0), (60, 0.0)], ids=["hiss", "whisper"])
def test_what_is_below_sixty_decibels_is_silent(level: int, share: float) -> None:
    samples_n = np.where(np.arange(RATE) % 2, level, -level).astype(np.int16)
    assert silent_share(samples_n, sample_rate_hz=RATE) == share


def test_a_sound_shorter_than_a_window_is_one_window() -> None:
    assert silent_share(np.zeros(7, np.int16), sample_rate_hz=RATE) == 1.0


@pytest.mark.parametrize(
    ("color", "black"),
    [((0, 0, 0), True), ((16, 16, 16), True), ((0, 0, 90), False), ((40, 40, 40), False)],
    ids=["black", "video black", "blue", "gray"],
)
def test_a_black_frame_is_dark_in_all_channels(color: tuple[int, ...], black: bool) -> None:
    assert is_black(np.full((48, 64, 3), color, np.uint8)) is black


def test_a_black_frame_may_hold_a_speck() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[:8, :8] = 255
    assert is_black(picture)
    picture[:40, :40] = 255
    assert not is_black(picture)


def test_the_smallest_picture_is_judged() -> None:
    assert is_black(np.zeros((2, 2, 3), np.uint8))
