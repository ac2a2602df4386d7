"""Demo clips: real media files, drawn, played and written from the factors of ``generated_world``.

What a caption names is drawn from the clip's factors; everything else (shape, path, gray of the
background, timbre, rhythm, noise) from the clip's own random stream, so it tells nothing.

Shape letters of this file: F frames, T depth maps, H and W pixels, N sound samples.
"""

import colorsys
import json
import tempfile
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gram.config import GeneratedDataset
from gram.data.ffmpeg import find_ffmpeg, run
from gram.data.generated_world import (
    COLORS,
    PITCHES,
    GeneratedClip,
    plan_clips,
    write_captions,
    write_subtitle,
)
from gram.data.media_files import chunk_of
from gram.data.sound import SAMPLE_RATE_HZ
from gram.files import atomic_path, write_text
from gram.progress import track

LOWEST_HZ, HIGHEST_HZ = 150.0, 3000.0
"""Pitch of the first and of the last key of ``PITCHES``; the others lie between, log spaced."""

DEPTH_PIXELS = 48
"""Height and width of a depth map."""

MAX_DEPTH_MAPS = 8
"""Most depth maps of a clip; a shorter clip has one a frame."""

FFMPEG_SECONDS = 120.0
"""Wall-clock limit of writing one clip."""

BITEXACT = ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact")
"""Leaves version and date out of the file, so that the same input gives the same bytes."""

Floats = NDArray[np.float64]


def generate_clips(
    dataset: GeneratedDataset, *, chunk: int, media: Path, annotations: Path, workers: int
) -> None:
    """Write the media files of one chunk's clips, then their annotations.

    Each file is whole or absent, and the annotations come last. The same settings give the same
    annotations, pictures and sounds, and with one version of ffmpeg the same bytes.

    Args:
        dataset: Number of clips, seed and size.
        chunk: Which chunk, from 0 to ``dataset.chunks - 1``.
        media: Folder that gets ``<clip_id>.mp4`` and ``<clip_id>.depth.npy``.
        annotations: JSON file that gets a list of records with the keys video_id, desc, subtitle
            and split.
        workers: Number of ffmpeg processes at a time.

    Raises:
        ValueError: If there is no ffmpeg, or it cannot write a clip.
    """
    clips = [
        clip for clip in plan_clips(dataset) if chunk_of(clip.clip_id, dataset.chunks) == chunk
    ]
    media.mkdir(parents=True, exist_ok=True)
    write = partial(_write_clip, dataset=dataset, media=media)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        label = f"generating clips, chunk {chunk}"
        written = pool.map(write, clips)
        records = list(track(written, total=len(clips), label=label, unit="clips"))
    write_text(annotations, json.dumps(records, indent=1) + "\n")


def _write_clip(
    clip: GeneratedClip, *, dataset: GeneratedDataset, media: Path
) -> dict[str, str | list[str]]:
    """Write one clip's files and give its annotation."""
    stream = np.random.default_rng((dataset.seed, clip.number))
    texts, picture, sound, depth = stream.spawn(4)
    num_frames = max(1, round(dataset.seconds * dataset.frames_per_second))
    pixels = dataset.pixels + dataset.pixels % 2  # the codecs take even sides only
    frames_fhwc = draw_frames(
        clip.color, picture, num_frames=num_frames, pixels=pixels, seconds=dataset.seconds
    )
    _write_media(
        media / f"{clip.clip_id}.mp4",
        frames_fhwc,
        play_sound(clip.pitch, sound, seconds=dataset.seconds),
        frames_per_second=dataset.frames_per_second,
    )
    with atomic_path(media / f"{clip.clip_id}.depth.npy") as path, path.open("wb") as file:
        np.save(file, draw_depth(clip.place, depth, num_maps=min(num_frames, MAX_DEPTH_MAPS)))
    return {
        "video_id": clip.clip_id,
        "desc": write_captions(clip, texts),
        "subtitle": write_subtitle(clip.topic, texts),
        "split": clip.split,
    }


def draw_frames(
    color: str, rng: np.random.Generator, *, num_frames: int, pixels: int, seconds: float
) -> NDArray[np.uint8]:
    """Draw one to three things of one color that move before a gray background.

    Args:
        color: Key of ``COLORS``.
        rng: Draws everything but the hue.
        num_frames: F.
        pixels: H and W.
        seconds: Length of the clip, which the speeds refer to.

    Returns:
        RGB, uint8, shape (F, H, W, 3).
    """
    hue = list(COLORS).index(color) / len(COLORS) + rng.uniform(-0.02, 0.02)
    rgb = np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.8, 1), rng.uniform(0.75, 1)))
    rows, columns = np.mgrid[0:pixels, 0:pixels] / pixels
    shade = rng.uniform(-0.15, 0.15)
    gray_hw = np.clip(rng.uniform(0.15, 0.75) + shade * (rows - 0.5), 0, 1)
    gray_hw = gray_hw + rng.normal(0, 0.02, size=gray_hw.shape)
    covered_fhw = np.zeros((num_frames, pixels, pixels))
    for _ in range(int(rng.integers(1, 4))):
        covered_fhw = np.maximum(
            covered_fhw, _moving_thing(rng, rows, columns, num_frames=num_frames, seconds=seconds)
        )
    cover_fhwc = covered_fhw[..., None]
    frames_fhwc = gray_hw[None, :, :, None] * (1 - cover_fhwc) + rgb * cover_fhwc
    return _to_bytes(frames_fhwc)


SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": lambda y, x: np.hypot(y, x),
    "square": lambda y, x: np.maximum(abs(y), abs(x)) * 1.1,
    "diamond": lambda y, x: (abs(y) + abs(x)) * 0.8,
    "bar": lambda y, x: np.maximum(abs(y) * 2, abs(x) * 0.8),
    "post": lambda y, x: np.maximum(abs(y) * 0.8, abs(x) * 2),
    "ring": lambda y, x: 0.4 + abs(np.hypot(y, x) - 0.75) * 1.6,
}
"""Distance of a point from the shape's center, in sizes: below 1 is inside."""


def _moving_thing(
    rng: np.random.Generator, rows: Floats, columns: Floats, *, num_frames: int, seconds: float
) -> Floats:
    """Give how much of each pixel one moving thing covers, 0..1, shape (F, H, W)."""
    distance = list(SHAPES.values())[int(rng.integers(len(SHAPES)))]
    size = rng.uniform(0.2, 0.32)
    time_f = np.linspace(0, seconds, num_frames, endpoint=False)
    y_f, x_f = (
        0.5 + 0.3 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * time_f + rng.uniform()))
        for _ in range(2)
    )
    away_y = (rows - y_f[:, None, None]) / size
    away_x = (columns - x_f[:, None, None]) / size
    soft_edge = size * rows.shape[0]
    inside_fhw = (1 - distance(away_y, away_x)) * soft_edge + 0.5
    covered_fhw: Floats = inside_fhw.clip(0, 1)
    return covered_fhw


def play_sound(pitch: str, rng: np.random.Generator, *, seconds: float) -> NDArray[np.int16]:
    """Play a tone of one pitch in a rhythm, with a little noise.

    Args:
        pitch: Key of ``PITCHES``.
        rng: Draws timbre, rhythm, loudness, noise and a detuning of up to 3 percent.
        seconds: Length of the sound.

    Returns:
        Samples at ``SAMPLE_RATE_HZ``, mono, int16, shape (N,).
    """
    time_n = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone_n = np.zeros_like(time_n)
    hertz = pitch_hz(pitch) * rng.uniform(0.97, 1.03)
    overtones = rng.uniform(0, 0.35, size=4) * [1, 0.7, 0.5, 0.35]
    for multiple, strength in enumerate([1.0, *overtones], start=1):
        phase = rng.uniform(0, 2 * np.pi)
        if multiple * hertz < SAMPLE_RATE_HZ / 2:  # above it the overtone would fold down
            tone_n += strength * np.sin(2 * np.pi * multiple * hertz * time_n + phase)
    beat_n = np.sin(2 * np.pi * (rng.uniform(0.5, 5) * time_n + rng.uniform()))
    swell_n = 0.15 + 0.85 / (1 + np.exp(-rng.uniform(3, 20) * beat_n))
    loud_n = rng.uniform(0.15, 0.7) * tone_n * swell_n / (1 + overtones.sum())
    noisy_n = loud_n + rng.normal(0, rng.uniform(0.001, 0.02), size=loud_n.shape)
    samples_n: NDArray[np.int16] = (noisy_n.clip(-1, 1) * 32767).round().astype(np.int16)
    return samples_n


def pitch_hz(pitch: str) -> float:
    """Give the base frequency of a pitch, in Hz."""
    share = list(PITCHES).index(pitch) / (len(PITCHES) - 1)
    return LOWEST_HZ * float((HIGHEST_HZ / LOWEST_HZ) ** share)


def draw_depth(place: str, rng: np.random.Generator, *, num_maps: int) -> NDArray[np.uint8]:
    """Draw depth maps of a slanted, noisy scene that is near at one place.

    Args:
        place: Key of ``PLACES``.
        rng: Draws slant, noise, softness, and how the nearness sways over time.
        num_maps: T.

    Returns:
        Nearness (larger is nearer), uint8, shape (T, 48, 48).
    """
    axis = (np.arange(DEPTH_PIXELS) + 0.5) / DEPTH_PIXELS * 2 - 1
    y, x = axis[:, None], axis[None, :]
    sharpness = rng.uniform(6, 14)
    near_hw = 1 / (1 + np.exp(-sharpness * _nearness(place, y, x, reach=rng.uniform(0.9, 1.1))))
    slant_hw = rng.uniform(-0.1, 0.1) * y + rng.uniform(-0.1, 0.1) * x
    sway_t = 1 + 0.15 * np.sin(2 * np.pi * (np.arange(num_maps) / num_maps + rng.uniform()))
    maps_thw = 0.3 + slant_hw + rng.uniform(0.3, 0.5) * sway_t[:, None, None] * near_hw
    maps_thw = maps_thw + rng.normal(0, rng.uniform(0.01, 0.05), size=maps_thw.shape)
    return _to_bytes(maps_thw)


def _to_bytes(values: Floats) -> NDArray[np.uint8]:
    scaled = np.clip(values, 0, 1) * 255
    return scaled.round().astype(np.uint8)


def _nearness(place: str, y: Floats, x: Floats, *, reach: float) -> Floats:
    """Give a map that is above 0 where the scene is near; y and x run from -1 to 1."""
    match place:
        case "top":
            return -y - 0.35 / reach + 0 * x
        case "bottom":
            return y - 0.35 / reach + 0 * x
        case "middle":
            return 0.45 * reach - np.hypot(y, x)
        case "sides":
            return abs(x) - 0.6 / reach + 0 * y
        case "corners":
            return np.minimum(abs(y), abs(x)) - 0.5 / reach
    raise ValueError(f"no place is named {place!r}; see PLACES in gram.data.generated_world")


def _write_media(
    path: Path,
    frames_fhwc: NDArray[np.uint8],
    sound_n: NDArray[np.int16],
    *,
    frames_per_second: int,
) -> None:
    """Encode frames and sound as MP4: frames through a pipe, sound through a file."""
    _, height, width, _ = frames_fhwc.shape
    ffmpeg = str(find_ffmpeg())
    with tempfile.TemporaryDirectory(prefix="gram-") as folder, atomic_path(path) as output:
        sound = Path(folder) / "sound.wav"
        _write_wav(sound, sound_n)
        command = [ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", str(frames_per_second), "-i", "pipe:0", "-i", f"file:{sound}"]
        command += ["-map", "0:v:0", "-map", "1:a:0", "-threads", "1", *_picture_codec(ffmpeg)]
        command += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k"]
        command += [*BITEXACT, "-f", "mp4", f"file:{output.resolve()}"]
        done = run(command, timeout_seconds=FFMPEG_SECONDS, given=frames_fhwc.tobytes())
        if done.returncode != 0:
            took = f"killed after {FFMPEG_SECONDS:g} s, " if done.is_timed_out else ""
            raise ValueError(
                f"ffmpeg could not write {path.name} ({took}exit status {done.returncode}): "
                f"{done.last_message}; check the free disk space, and that {ffmpeg} runs"
            )


def _write_wav(path: Path, sound_n: NDArray[np.int16]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, len(sound_n), "NONE", ""))
        file.writeframes(sound_n.astype("<i2").tobytes())


@lru_cache
def _picture_codec(ffmpeg: str) -> tuple[str, ...]:
    """Choose H.264 if this ffmpeg can write it, else MPEG-4 part 2, which every ffmpeg can."""
    listed: list[bytes] = []

    def read(stream: IO[bytes]) -> None:
        listed.append(stream.read())

    command = [ffmpeg, "-hide_banner", "-encoders"]
    run(command, timeout_seconds=FFMPEG_SECONDS, read_output=read)
    if b"libx264 " in b"".join(listed):
        return ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "24")
    return ("-c:v", "mpeg4", "-q:v", "3")
