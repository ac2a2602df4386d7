"""Media files that ffmpeg makes, and the way from annotations to extracted clips."""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from gram.config import ExtractionConfig
from gram.data.annotations import make_clips
from gram.data.extract import extract_chunk
from gram.data.ffmpeg import find_ffmpeg
from gram.data.probe import probe_chunk
from gram.data.tables import Row, read_rows

PICTURE = "testsrc2=s=96x64:r=10:d=2"
SOUND = "sine=440:r=44100:d=2"
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")

SETTINGS = ExtractionConfig(frames_per_clip=8, short_side=48)


def run_ffmpeg(*arguments: str | Path, given: bytes | None = None) -> bytes:
    """Run ffmpeg and give its standard output; fail on any error."""
    command = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def make_media(
    path: Path,
    *options: str,
    picture: str | None = PICTURE,
    sound: str | None = SOUND,
    codec: Sequence[str] = H264,
) -> Path:
    """Make a media file from lavfi sources; ``options`` are of the output."""
    inputs = [("-f", "lavfi", "-i", source) for source in (picture, sound) if source]
    arguments = [argument for one in inputs for argument in one]
    if picture:
        arguments += codec
    path.parent.mkdir(parents=True, exist_ok=True)
    run_ffmpeg(*arguments, *options, f"file:{path}")
    return path


def make_gray(path: Path, levels: Sequence[int], *options: str, rate: int = 10) -> Path:
    """Make a soundless video of one gray level a frame, which tells the frames apart."""
    frames = b"".join(bytes([level]) * (64 * 48) for level in levels)
    source = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48", "-r", str(rate), "-i", "pipe:0")
    path.parent.mkdir(parents=True, exist_ok=True)
    run_ffmpeg(*source, *H264, *options, f"file:{path}", given=frames)
    return path


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk that went through all stages."""

    rows: Mapping[str, Row]
    members: Mapping[str, bytes]
    folder: Path

    def frames(self, clip_id: str) -> list[bytes]:
        """Give the kept frames of a clip as JPEG."""
        record = self.record(clip_id)
        ends = np.cumsum(record["jpgs_sizes"])
        content = self.members[f"{self.rows[clip_id]['key']}.jpgs"]
        assert ends[-1] == len(content)
        return [
            content[end - size : end] for size, end in zip(record["jpgs_sizes"], ends, strict=True)
        ]

    def sound(self, clip_id: str) -> np.ndarray:
        """Give the samples of a clip."""
        member = self.members[f"{self.rows[clip_id]['key']}.flac"]
        samples, rate = soundfile.read(io.BytesIO(member), dtype="int16")
        assert rate == 16000
        return np.asarray(samples)

    def record(self, clip_id: str) -> dict[str, Any]:
        """Give the record of a clip."""
        record: dict[str, Any] = json.loads(self.members[f"{self.rows[clip_id]['key']}.json"])
        return record


def run_stages(
    media: Path,
    records: Sequence[Mapping[str, object]],
    *,
    output: Path,
    settings: ExtractionConfig = SETTINGS,
    workers: int = 2,
) -> Chunk:
    """Run annotations, probing and extraction in ``output``."""
    output.mkdir(parents=True, exist_ok=True)
    annotation = output / "annotation.json"
    annotation.write_text(json.dumps([{"desc": "a clip", **record} for record in records]))
    make_clips([("test", annotation)], output / "clips.parquet")
    probe_chunk(
        output / "clips.parquet",
        media=media,
        chunk=0,
        chunks=1,
        output=output / "probe.parquet",
        workers=workers,
    )
    extract_chunk(
        settings,
        probed=output / "probe.parquet",
        archive=output / "clips.tar",
        table=output / "extraction.parquet",
        workers=workers,
    )
    rows = {row["clip_id"]: row for row in read_rows(output / "extraction.parquet")}
    with tarfile.open(output / "clips.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    return Chunk(rows=rows, members=members, folder=output)
