"""Filter banks of sound and the choice of their slices, by the published code."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from gram.config import InputsConfig
from gram.data import transforms
from gram.data.loader import evaluation_batches
from gram.data.sound import SAMPLE_RATE_HZ
from gram.types import Modality
from tests.golden.recording import facts_of
from tests.unit.data.made_datasets import MIXED, dataset
from tests.unit.data.made_shards import make_index

Tensors = dict[str, Tensor]
Case = dict[str, Any]

FACTS = facts_of("05_audio")
SOUNDS: dict[str, int] = FACTS["sample_rates"]
RESAMPLED = [name for name in SOUNDS if f"mid.resampled.{name}" in FACTS["tensors"]]
RAW = [name for name in FACTS["tensors"] if name.startswith("mid.fbank_raw")]
OURS = {name: case for name, case in FACTS["cases"].items() if case["encoder"] == "beats"}
HEARD = [name for name, case in OURS.items() if case["wav"] in SOUNDS]
ABSENT = [name for name, case in OURS.items() if case["wav"] not in SOUNDS]
OTHERS = [name for name, case in FACTS["cases"].items() if case["encoder"] != "beats"]
SLICES = FACTS["slice_table_test_mode"]
ROUNDING = 0.01
"""Largest change of a normalized log energy by rounding the samples to int16: measured 0.002."""


# --- what the published code was given, and what it chose ---------------------------------------


def wave_of(recorded: Tensors, sound: str) -> NDArray[np.float32]:
    """Give a sound at 16 kHz, mono, in the range of int16, as the published code resamples it."""
    samples = recorded[f"wav.{sound}"].float() / 2**15
    mono_n = samples if samples.ndim == 1 else samples.mean(dim=1)
    resample = torchaudio.transforms.Resample(SOUNDS[sound], SAMPLE_RATE_HZ)
    wave_n: NDArray[np.float32] = (resample(mono_n) * 2**15).numpy()
    return wave_n


def inputs_of(case: Case) -> InputsConfig:
    """Give the settings of a case, of whatever sizes."""
    constants = FACTS["constants"]
    return InputsConfig().model_copy(
        update={
            "mel_bins": case.get("melbins"),
            "audio_frames": case["target_length"],
            "audio_clips": case["sample_num"],
            "audio_mean": constants["beats_mean"],
            "audio_std": constants["beats_std"],
        }
    )


def num_published_slices(num_frames: int, inputs: InputsConfig) -> int:
    """Count as published: behind a last slice that is full there is an empty one."""
    return max(inputs.audio_clips, num_frames // inputs.audio_frames + 1)


def is_cut_in_full(num_frames: int, inputs: InputsConfig) -> bool:
    return num_frames % inputs.audio_frames == 0


def published_slices(case: Case, num_samples: int) -> list[int]:
    """Give the slices that the published code took."""
    if case["training"]:
        return list(case["chosen_slices_if_training"])
    inputs, frames = inputs_of(case), transforms.num_bank_frames(num_samples)
    return transforms.pick_per_segment(
        num_published_slices(frames, inputs), inputs.audio_clips, draws_p=None
    )


def banks_of(
    samples_n: NDArray[np.float32] | NDArray[np.int16], inputs: InputsConfig, numbers: Sequence[int]
) -> Tensor:
    """Give our filter banks of some slices: float32, shape (C, T, M)."""
    wanted = [transforms.samples_of_slice(n, len(samples_n), inputs) for n in numbers]
    return torch.stack([transforms.filter_bank(samples_n[one], inputs) for one in wanted])


def largest_error(recorded: Tensors, name: str) -> float:
    """Compare our filter banks of the published slices with the published ones."""
    case = OURS[name]
    wave_n = wave_of(recorded, case["wav"])
    banks_ctm = banks_of(wave_n, inputs_of(case), published_slices(case, len(wave_n)))
    return float((banks_ctm - recorded[f"out.{name}"]).abs().max())


# --- filter banks -------------------------------------------------------------------------------


@pytest.fixture
def recorded(golden: Callable[[str], Any]) -> Tensors:
    tensors: Tensors = golden("05_audio").tensors
    return tensors


@pytest.mark.parametrize("sound", RESAMPLED)
def test_what_is_compared_was_resampled_as_published(recorded: Tensors, sound: str) -> None:
    wave_n = torch.from_numpy(wave_of(recorded, sound) / 2**15)
    published_n = recorded[f"mid.resampled.{sound}"].flatten()
    torch.testing.assert_close(wave_n, published_n, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", RAW)
def test_energies_before_normalization_are_the_published_ones(recorded: Tensors, name: str) -> None:
    published_tm = recorded[name]
    frames, bins = published_tm.shape
    plain = {"audio_frames": frames, "mel_bins": bins, "audio_mean": 0.0, "audio_std": 0.5}
    wave_n = wave_of(recorded, name.rpartition(".")[2])
    energies_tm = transforms.filter_bank(wave_n, InputsConfig().model_copy(update=plain))
    torch.testing.assert_close(energies_tm, published_tm, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", HEARD)
def test_filter_banks_are_the_published_ones(recorded: Tensors, name: str) -> None:
    assert largest_error(recorded, name) <= 1e-5


@pytest.mark.parametrize("name", [name for name in HEARD if OURS[name]["wav"] in RESAMPLED])
def test_rounding_to_the_samples_of_our_shards_changes_next_to_nothing(
    recorded: Tensors, name: str
) -> None:
    # ffmpeg resamples what is in our shards; its filter is another one than torchaudio's.
    case = OURS[name]
    samples_n = wave_of(recorded, case["wav"]).round().clip(-(2**15), 2**15 - 1).astype(np.int16)
    banks_ctm = banks_of(samples_n, inputs_of(case), published_slices(case, len(samples_n)))
    torch.testing.assert_close(banks_ctm, recorded[f"out.{name}"], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", OTHERS)
def test_the_bank_of_an_encoder_that_we_do_not_have_is_another(
    recorded: Tensors, name: str
) -> None:
    # Published for AST: samples in -1..1 and a Hann window. No released model uses it.
    case, constants = FACTS["cases"][name], FACTS["constants"]
    scale = {"audio_mean": constants["ast_mean"], "audio_std": constants["ast_std"]}
    inputs = inputs_of(case).model_copy(update=scale)
    ours_tm = transforms.filter_bank(wave_of(recorded, case["wav"]) / 2**15, inputs)
    assert (ours_tm - recorded[f"out.{name}"][0]).abs().max() > 0.01


# --- no sound -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ABSENT)
def test_a_missing_file_gives_zeros_as_published(recorded: Tensors, name: str) -> None:
    case = OURS[name]
    none_n = np.zeros(0, np.int16)
    banks_ctm = banks_of(none_n, inputs_of(case), range(case["sample_num"]))
    assert banks_ctm.equal(recorded[f"out.{name}"])


def test_we_say_which_zeros_stand_for_no_sound(tmp_path: Path) -> None:
    # Published: zeros like any other sound, so that the model hears them. Ours: a mask as well.
    data = dataset(make_index(tmp_path, MIXED, chunks=1), is_training=False)
    (batch,) = evaluation_batches(data, batch_size=len(data))
    assert batch.audio_bctm is not None
    zeros = batch.audio_bctm.flatten(1).abs().amax(dim=1) == 0
    assert zeros.equal(~batch.present[Modality.AUDIO])


# --- which slices -------------------------------------------------------------------------------


def frames_of(row: Case) -> int:
    frames: int = row["frames"]
    return frames


def samples_for(frames: int) -> int:
    """Give the length of a sound of so many frames."""
    return transforms.WINDOW_SAMPLES + transforms.SHIFT_SAMPLES * (frames - 1)


def described(numbers: Sequence[int], row: Case) -> Case:
    """Describe slices as the recorded table does."""
    inputs, samples = inputs_of(row), samples_for(frames_of(row))
    wanted = [transforms.samples_of_slice(number, samples, inputs) for number in numbers]
    lengths = [one.stop - one.start for one in wanted]
    return row | {
        "first_source_frame_of_each_slice": [
            one.start // transforms.SHIFT_SAMPLES if length else None
            for one, length in zip(wanted, lengths, strict=True)
        ],
        "nonzero_frames_of_each_slice": [
            transforms.num_bank_frames(length) if length else 0 for length in lengths
        ],
    }


def our_slices(row: Case) -> list[int]:
    inputs = inputs_of(row)
    slices = transforms.num_slices(samples_for(frames_of(row)), inputs)
    return transforms.pick_per_segment(slices, inputs.audio_clips, draws_p=None)


def label(row: Case) -> str:
    return f"{row['frames']} frames by {row['target_length']}, {row['sample_num']} taken"


RAGGED = [row for row in SLICES if not is_cut_in_full(frames_of(row), inputs_of(row))]
FULL = [row for row in SLICES if is_cut_in_full(frames_of(row), inputs_of(row))]


@pytest.mark.parametrize("row", RAGGED, ids=label)
def test_slices_are_the_published_ones(row: Case) -> None:
    assert described(our_slices(row), row) == row


@pytest.mark.parametrize("row", FULL, ids=label)
def test_published_slices_of_an_exact_multiple_count_an_empty_one(row: Case) -> None:
    inputs = inputs_of(row)
    slices = num_published_slices(frames_of(row), inputs)
    chosen = transforms.pick_per_segment(slices, inputs.audio_clips, draws_p=None)
    assert described(chosen, row) == row


@pytest.mark.parametrize("row", FULL, ids=label)
def test_our_slices_of_an_exact_multiple_are_full_as_far_as_there_are_any(row: Case) -> None:
    # A fix: the empty slice is no sound, and stands in the place of one that was heard.
    there = frames_of(row) // row["target_length"]
    lengths = described(our_slices(row), row)["nonzero_frames_of_each_slice"]
    empty = max(0, row["sample_num"] - there)
    assert lengths == [row["target_length"]] * (row["sample_num"] - empty) + [0] * empty


DRAWN = [name for name in HEARD if OURS[name]["training"]]


@pytest.mark.parametrize("name", DRAWN)
def test_slices_drawn_in_training_lie_in_the_published_segments(
    recorded: Tensors, name: str
) -> None:
    case, samples = OURS[name], len(wave_of(recorded, OURS[name]["wav"]))
    inputs, frames = inputs_of(case), transforms.num_bank_frames(samples)
    slices = (
        num_published_slices(frames, inputs)
        if is_cut_in_full(frames, inputs)
        else transforms.num_slices(samples, inputs)
    )
    first, last = (
        transforms.pick_per_segment(slices, inputs.audio_clips, draws_p=[draw] * case["sample_num"])
        for draw in (0.0, np.nextafter(1, 0))
    )
    published = case["chosen_slices_if_training"]
    assert all(a <= n <= b for a, n, b in zip(first, published, last, strict=True))


@pytest.mark.parametrize("name", DRAWN)
def test_our_draws_never_take_an_empty_slice_of_a_long_sound(recorded: Tensors, name: str) -> None:
    # Published draws may: the sound is then zeros though the file has some.
    case = OURS[name]
    wave_n, inputs = wave_of(recorded, case["wav"]), inputs_of(case)
    slices = transforms.num_slices(len(wave_n), inputs)
    banks_ctm = banks_of(wave_n, inputs, range(slices))
    assert (banks_ctm.flatten(1).abs().amax(dim=1) > 0).all()
