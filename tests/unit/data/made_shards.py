"""Chunks of clips as the stages before the shards leave them, drawn here without ffmpeg.

Frame number n of a clip is of the one gray level 10 n + 20; depth map n of T has a left half of 0
and a right half of n + 1; the sound is a tone.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import soundfile

from gram.config import ExtractionConfig, PackingConfig, ShardsConfig
from gram.data.depth import read_depth
from gram.data.shards import ChunkFiles, index_shards, pack_chunk
from gram.data.status import DecidingStage, Status
from gram.data.subtitles import read_subtitles
from gram.data.tables import EXTRACTION, PROBE, Row, write_rows
from gram.data.tars import add_member, open_archive

HEIGHT, WIDTH = 24, 32
SAMPLE_RATE_HZ = 16_000

SETTINGS = ExtractionConfig(frames_per_clip=8, short_side=24)


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """One clip; what it lacks is None, or 0 frames."""

    clip_id: str
    split: str = "train"
    captions: tuple[str, ...] = ("a clip",)
    subtitle: str | None = None
    frames: int = 8
    sound_seconds: float | None = 1.0
    depth_maps: int | None = 4
    status: Status = Status.OK


@dataclass(frozen=True)
class Inputs:
    """Files that are packed, below one folder."""

    folder: Path

    @property
    def extracted(self) -> Path:
        """Tar of frames and sound."""
        return self.folder / "clips.tar"

    @property
    def extraction_table(self) -> Path:
        """Table of extraction."""
        return self.folder / "extraction.parquet"

    @property
    def probed(self) -> Path:
        """Table of probing."""
        return self.folder / "probe.parquet"

    @property
    def subtitles(self) -> Path:
        """Table of subtitles."""
        return self.folder / "subtitles.parquet"

    @property
    def depth(self) -> Path:
        """Tar of depth."""
        return self.folder / "depth.tar"

    @property
    def depth_table(self) -> Path:
        """Table of depth."""
        return self.folder / "depth.parquet"


def gray_of(number: int) -> int:
    """Gray level of a frame."""
    return 10 * number + 20


def frame_jpeg(number: int) -> bytes:
    """Make the JPEG of one frame."""
    picture = np.full((HEIGHT, WIDTH, 3), gray_of(number), np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(picture, 95, "RGB", "420")
    return jpeg


def tone(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Give the samples of a sound."""
    time_n = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (8000 * np.sin(2 * np.pi * (300 + 200 * time_n) * time_n)).astype(np.int16)


def flac_of(seconds: float) -> bytes:
    """Make the FLAC file of a sound."""
    return flac_of_samples(tone(seconds))


def flac_of_samples(samples_n: np.ndarray[Any, Any]) -> bytes:
    """Make a FLAC file as extraction does."""
    file = io.BytesIO()
    soundfile.write(file, samples_n, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def row_of(clip: MadeClip, number: int, media: Path) -> Row:
    """Give the row of a clip in the extraction table; the probe table is a part of it."""
    row: Row = {
        "key": f"{number:08d}",
        "clip_id": clip.clip_id,
        "source_id": clip.clip_id,
        "split": clip.split,
        "captions": list(clip.captions),
        "subtitle": clip.subtitle,
        "media": str(media / f"{clip.clip_id}.mp4"),
        "status": clip.status,
        "duration_seconds": 1.0,
    }
    if clip.status is not Status.OK:
        stage = DecidingStage.FETCH if clip.status == Status.DEAD else DecidingStage.PROBE
        return row | {"stage": stage, "reason": f"{clip.clip_id} is {clip.status}"}
    return row | {
        "has_video": clip.frames > 0,
        "has_audio": clip.sound_seconds is not None,
        "frames": clip.frames,
        "audio_seconds": clip.sound_seconds or 0.0,
        "ffmpeg_version": "5.1",
    }


def write_inputs(folder: Path, clips: Sequence[tuple[int, MadeClip]]) -> Inputs:
    """Write all that is packed of some clips, given with their numbers in the clips table."""
    inputs, media = Inputs(folder), folder / "media"
    media.mkdir(parents=True, exist_ok=True)
    rows = [row_of(clip, number, media) for number, clip in clips]
    write_rows(inputs.extraction_table, rows, schema=EXTRACTION)
    write_rows(inputs.probed, rows, schema=PROBE)
    with open_archive(inputs.extracted) as tar:
        for number, clip in clips:
            if clip.status is not Status.OK:
                continue
            jpegs = [frame_jpeg(frame) for frame in range(clip.frames)]
            if jpegs:
                add_member(tar, f"{number:08d}.jpgs", b"".join(jpegs))
            if clip.sound_seconds is not None:
                add_member(tar, f"{number:08d}.flac", flac_of(clip.sound_seconds))
            record = {"clip_id": clip.clip_id, "jpgs_sizes": [len(jpeg) for jpeg in jpegs]}
            add_member(tar, f"{number:08d}.json", json.dumps(record).encode())
    for _, clip in clips:
        if clip.depth_maps is not None:
            maps_thw = np.zeros((clip.depth_maps, HEIGHT, WIDTH))
            maps_thw[:, :, WIDTH // 2 :] = np.arange(1, clip.depth_maps + 1)[:, None, None]
            np.save(media / f"{clip.clip_id}.depth.npy", maps_thw)
    read_subtitles(inputs.probed, inputs.subtitles)
    read_depth(SETTINGS, probed=inputs.probed, archive=inputs.depth, table=inputs.depth_table)
    return inputs


def pack(inputs: Inputs, index: Path, *, target_mib: float = 1024.0) -> Path:
    """Pack a chunk beside its index, and give that."""
    files = ChunkFiles(
        extracted=inputs.extracted,
        extraction_table=inputs.extraction_table,
        subtitles=inputs.subtitles,
        depth=inputs.depth,
        depth_table=inputs.depth_table,
    )
    pack_chunk(PackingConfig(target_mib=target_mib), files, index)
    return index


def pack_chunks(
    folder: Path, clips: Sequence[MadeClip], *, chunks: int = 1, target_mib: float = 1024.0
) -> list[Path]:
    """Pack clips in chunks, dealt out in turn; give the indexes, in ``folder / "shards"``."""
    indexes = [folder / "shards" / f"{chunk:04d}.parquet" for chunk in range(chunks)]
    numbered = list(enumerate(clips))
    for chunk, index in enumerate(indexes):
        inputs = write_inputs(folder / f"{chunk:04d}", numbered[chunk::chunks])
        pack(inputs, index, target_mib=target_mib)
    return indexes


def join(indexes: Sequence[Path], settings: ShardsConfig | None = None) -> Path:
    """Join the indexes of some chunks and give the path of all's; the manifest is beside it."""
    folder = indexes[0].parent
    index_shards(
        settings or ShardsConfig(),
        indexes=indexes,
        output=folder / "index.parquet",
        manifest=folder / "manifest.json",
    )
    return folder / "index.parquet"


def make_index(
    folder: Path, clips: Sequence[MadeClip], *, chunks: int = 1, target_mib: float = 1024.0
) -> Path:
    """Pack clips into shards and give the path of their index."""
    return join(pack_chunks(folder, clips, chunks=chunks, target_mib=target_mib))


def cut(shard: Path) -> None:
    """Take the end of a shard away."""
    shard.write_bytes(shard.read_bytes()[:-512])


def change(shard: Path) -> None:
    """Change one bit of a shard."""
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(content)


def remove(shard: Path) -> None:
    """Take a shard away."""
    shard.unlink()
