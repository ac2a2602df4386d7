"""The training loader beside decoding the media files at load time, as the released code does."""

import resource
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import decord
import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchaudio.compliance import kaldi
from torchaudio.functional import resample

from bench.corpus import CLIPS, SECONDS, write_shards, write_wavs
from bench.timing import Measured, in_turns
from gram.config import InputsConfig
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index, select_clips
from gram.data.loader import batches
from gram.data.order import epoch_order
from gram.data.sound import SAMPLE_RATE_HZ
from gram.data.transforms import pick_per_segment
from gram.data.vocabulary import WordPieces, read_vocabulary
from gram.types import Modality

BATCH_SIZE, WORKERS = 16, 2
TURNS = 5
INPUTS = InputsConfig()
MODALITIES = (Modality.VIDEO, Modality.AUDIO)
RAW_CLIPS = BATCH_SIZE
"""Clips that are decoded at load time in a turn: fewer, for that takes long."""


def loader_section(folder: Path) -> str:
    """Measure passes over the clips, and give the section that says what came out."""
    index = write_shards(folder)
    write_wavs(folder / "media")
    fresh, cached = (_dataset(index, folder / "vocab.txt", cache_mib=mib) for mib in (0, 4096))
    variants: dict[str, tuple[Measured, int]] = {
        "shards, 2 threads": (partial(_pass, fresh, workers=WORKERS), CLIPS),
        "shards, no thread": (partial(_pass, fresh, workers=0), CLIPS),
        "shards, 2 processes (torch's DataLoader)": (partial(_process_pass, fresh), CLIPS),
        "kept in memory, 2 threads": (partial(_pass, cached, workers=WORKERS), CLIPS),
        "raw mp4 and wav, 2 threads": (partial(_raw_pass, folder / "media"), RAW_CLIPS),
    }
    medians = in_turns({name: call for name, (call, _) in variants.items()}, turns=TURNS)
    wall = {name: clips / medians[name].wall_seconds for name, (_, clips) in variants.items()}
    cpu = {name: clips / medians[name].cpu_seconds for name, (_, clips) in variants.items()}
    raw = cpu["raw mp4 and wav, 2 threads"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = [
        "## Loader",
        "",
        f"{CLIPS} clips of {SECONDS} s, 640 x 360, batches of {BATCH_SIZE}: "
        f"{INPUTS.train_frames} of 32 frames to 224 x 224, filter banks of {INPUTS.mel_bins} bins. "
        f"Medians of {TURNS} turns; files are in the page cache. *Raw* is what the released code "
        "does: frames sought by number in the media file and scaled as float64, sound read at its "
        "own rate from a wav file beside it, resampled, and turned into torchaudio's filter bank. "
        "It is measured with decord where that code has OpenCV, with soundfile where it has "
        "librosa, and without its search through the folder of the media.",
        f"Peak memory of the process that measured all of it: {peak:.0f} MiB, the libraries and "
        "the clips that are kept in memory among it.",
        "",
        "| clips | clips a second | clips a processor second | times raw, processor |",
        "|---|---|---|---|",
        *(
            f"| {name} | {wall[name]:.0f} | {cpu[name]:.1f} | {cpu[name] / raw:.1f} |"
            for name in variants
        ),
    ]
    return "\n".join(lines)


def _dataset(index: Path, vocabulary: Path, *, cache_mib: int) -> ClipDataset:
    selection = select_clips(
        read_index(index), split="train", modalities=MODALITIES, missing="drop"
    )
    return ClipDataset(
        selection.rows,
        folder=index.parent,
        inputs=INPUTS,
        num_frames=INPUTS.train_frames,
        modalities=MODALITIES,
        pieces=WordPieces(read_vocabulary(vocabulary)),
        is_training=True,
        seed=0,
        cache_mib=cache_mib,
    )


def _pass(dataset: ClipDataset, *, workers: int) -> None:
    read = batches(dataset, batch_size=BATCH_SIZE, seed=0, epoch=0, workers=workers)
    _check(sum(len(batch.clip_ids) for batch in read), CLIPS)


def _check(found: int, wanted: int) -> None:
    if found != wanted:
        raise ValueError(f"{found} clips were read, and {wanted} should have been")


# --- processes ---------------------------------------------------------------------------------


class _Samples(Dataset[tuple[Tensor, Tensor]]):
    """The same samples for torch's own loader."""

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        sample = self._dataset.sample(item, epoch=0)
        if sample.video_fchw is None or sample.audio_ctm is None:
            raise ValueError(f"the clip {sample.clip_id} lacks what is measured")
        return sample.video_fchw.contiguous(), sample.audio_ctm


def _process_pass(dataset: ClipDataset) -> None:
    order = epoch_order(CLIPS, seed=0, epoch=0).tolist()
    loader = DataLoader(
        _Samples(dataset), batch_size=BATCH_SIZE, sampler=order, num_workers=WORKERS
    )
    _check(sum(len(video) for video, _ in loader), CLIPS)


# --- as the released code does -------------------------------------------------------------------


def _raw_pass(media: Path) -> None:
    numbers = epoch_order(CLIPS, seed=0, epoch=0)[:RAW_CLIPS].tolist()
    with ThreadPoolExecutor(WORKERS) as threads:
        samples = list(threads.map(partial(_raw_sample, media), numbers))
    videos, banks = zip(*samples, strict=True)
    _check(len(torch.stack(videos).float()), RAW_CLIPS)
    _check(len(torch.stack(banks)), RAW_CLIPS)


def _raw_sample(media: Path, number: int) -> tuple[Tensor, Tensor]:
    return _raw_frames(media / f"clip{number}.mp4"), _raw_bank(media / f"clip{number}.wav")


def _raw_frames(path: Path) -> Tensor:
    """Seek frames by number, and scale the square in the middle in float64."""
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    draws = np.random.default_rng().random(INPUTS.train_frames)
    numbers = pick_per_segment(len(reader), INPUTS.train_frames, draws_p=draws)
    frames_fhwk = np.stack([reader[number].asnumpy() for number in numbers])
    pictures_fkhw = torch.from_numpy(frames_fhwk / 255).permute(0, 3, 1, 2)
    height, width = pictures_fkhw.shape[-2:]
    left = (width - height) // 2
    side = (INPUTS.image_pixels, INPUTS.image_pixels)
    square = pictures_fkhw[..., left : left + height]
    return functional.interpolate(square, size=side, mode="bilinear", antialias=False)


def _raw_bank(path: Path) -> Tensor:
    """Resample a sound, and take torchaudio's filter bank of its first slice."""
    samples_nc, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    wave_n = torch.from_numpy(samples_nc.mean(axis=1))
    wave_n = resample(wave_n, rate_hz, SAMPLE_RATE_HZ) * 2**15
    bank_tm = kaldi.fbank(
        wave_n.unsqueeze(0), num_mel_bins=INPUTS.mel_bins, sample_frequency=SAMPLE_RATE_HZ
    )[: INPUTS.audio_frames]
    bank_tm = (bank_tm - INPUTS.audio_mean) / (2 * INPUTS.audio_std)
    return functional.pad(bank_tm, (0, 0, 0, INPUTS.audio_frames - len(bank_tm)))
