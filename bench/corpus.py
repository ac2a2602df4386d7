"""Clips to measure the loader on: 10 s of 640 x 360 with sound, through the workflow's stages."""

import json
import os
from pathlib import Path

from gram.config import ExtractionConfig, PackingConfig, ShardsConfig, VocabularyConfig
from gram.data.annotations import make_clips
from gram.data.depth import read_depth
from gram.data.extract import extract_chunk
from gram.data.ffmpeg import find_ffmpeg, run
from gram.data.probe import probe_chunk
from gram.data.shards import ChunkFiles, index_shards, pack_chunk
from gram.data.subtitles import read_subtitles
from gram.data.vocabulary import learn_vocabulary

CLIPS, DIFFERENT = 48, 8
SECONDS = 10
PLACES = [(-0.743, 0.131), (-0.16, 1.04), (-1.25, 0.02), (0.28, 0.53)]
"""Where the pictures zoom in: edges of the Mandelbrot set, about as detailed as filmed pictures."""


def write_media(folder: Path) -> list[Path]:
    """Make the media files: some different ones, each under several names."""
    folder.mkdir(parents=True)
    for number in range(DIFFERENT):
        x, y = PLACES[number % len(PLACES)]
        zoom = "start_scale=1.5:end_scale=0.02" if number % 2 else "start_scale=0.6:end_scale=0.1"
        picture = f"mandelbrot=s=640x360:r=25:start_x={x}:start_y={y}:end_pts=250:{zoom}"
        sound = f"anoisesrc=r=44100:c=pink:a=0.03:seed={number}"
        sources = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
        codecs = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-ac", "2")
        output = folder / f"clip{number}.mp4"
        command = [find_ffmpeg(), "-loglevel", "error", *sources, "-t", str(SECONDS), *codecs]
        run([*map(str, command), f"file:{output}"], timeout_seconds=120)
    for number in range(DIFFERENT, CLIPS):
        os.link(folder / f"clip{number % DIFFERENT}.mp4", folder / f"clip{number}.mp4")
    return [folder / f"clip{number}.mp4" for number in range(CLIPS)]


def write_shards(folder: Path) -> Path:
    """Take the media through the workflow's stages, in one chunk; give the index."""
    records = [
        {"video_id": path.stem, "desc": f"pictures of the set number {number}"}
        for number, path in enumerate(write_media(folder / "media"))
    ]
    (folder / "clips.json").write_text(json.dumps(records), encoding="utf-8")
    settings, media, probed = ExtractionConfig(), folder / "media", folder / "probed.parquet"
    make_clips([("train", folder / "clips.json")], folder / "clips.parquet")
    probe_chunk(folder / "clips.parquet", media=media, chunk=0, chunks=1, output=probed, workers=2)
    names = ("extracted.tar", "extracted.parquet", "depth.tar", "depth.parquet")
    extracted, extraction_table, depth, depth_table = (folder / name for name in names)
    extract_chunk(settings, probed=probed, archive=extracted, table=extraction_table, workers=2)
    read_subtitles(probed, folder / "subtitles.parquet")
    read_depth(settings, probed=probed, archive=depth, table=depth_table)
    chunk, index = folder / "shards" / "0000.parquet", folder / "shards" / "index.parquet"
    files = ChunkFiles(
        extracted=extracted,
        extraction_table=extraction_table,
        subtitles=folder / "subtitles.parquet",
        depth=depth,
        depth_table=depth_table,
    )
    pack_chunk(PackingConfig(), files, chunk)
    index_shards(
        ShardsConfig(),
        indexes=[chunk],
        output=index,
        manifest=folder / "shards" / "manifest.json",
    )
    learn_vocabulary(index, split="train", settings=VocabularyConfig(), output=folder / "vocab.txt")
    return index


def write_wavs(folder: Path) -> None:
    """Write the sound of each media file beside it, at its own rate."""
    for number in range(DIFFERENT):
        source, output = folder / f"clip{number}.mp4", folder / f"clip{number}.wav"
        command = [find_ffmpeg(), "-loglevel", "error", "-i", f"file:{source}", "-vn"]
        run([*map(str, command), f"file:{output}"], timeout_seconds=120)
    for number in range(DIFFERENT, CLIPS):
        os.link(folder / f"clip{number % DIFFERENT}.wav", folder / f"clip{number}.wav")
