"""Thousands of clips, made by one ffmpeg call, and all stages over them in one process.

``python -m tests.scale.many_clips FOLDER`` runs the stages over clips that ``make_many`` made. It
stands alone so that whoever starts it can tell its memory from its own.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gram.config import ExtractionConfig, PackingConfig, ShardsConfig
from gram.data.annotations import make_clips
from gram.data.depth import read_depth
from gram.data.extract import extract_chunk
from gram.data.probe import Known, probe_chunk
from gram.data.shards import ChunkFiles, index_shards, pack_chunk
from gram.data.subtitles import read_subtitles
from gram.files import write_text
from tests.unit.data.made_media import H264, make_media, run_ffmpeg
from tests.unit.data.made_zoo import punch

FRAMES_PER_SECOND = 8
BROKEN_EVERY = 25
"""Of so many clips one is broken, the ways of which take turns."""

CHUNKS = 8
WORKERS = 2


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text(f"{path.name} was not found\n")


def _halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _punch(path: Path) -> None:
    path.write_bytes(punch(path.read_bytes()))


def _remove(path: Path) -> None:
    path.unlink()


def _repeat(path: Path) -> None:
    again = path.parent / "again" / path.name
    again.parent.mkdir(exist_ok=True)
    again.write_bytes(path.read_bytes())


def _freeze(path: Path) -> None:
    still = path.parent / ".still.jpg"
    if not still.exists():
        make_media(still, "-frames:v", "1", "-update", "1", sound=None, codec=())
    path.write_bytes(still.read_bytes())


WAYS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("unreadable (probe)", _empty),
    ("unreadable (probe)", _text),
    ("unreadable (probe)", _halve),
    ("unreadable (extract)", _punch),
    ("not_found (probe)", _remove),
    ("duplicate (probe)", _repeat),
    ("no_video (probe)", _freeze),
)
"""Ways in which a clip is broken: what becomes of it, and what breaks it."""


def make_many(folder: Path, *, count: int) -> Counter[str]:
    """Make clips of one second, no two alike, and break some of them.

    Args:
        folder: Folder to fill: ``media`` and ``annotations.json``.
        count: Number of clips.

    Returns:
        How many clips should become what: ``ok``, or status and stage.
    """
    media = folder / "media"
    media.mkdir(parents=True)
    cuts = f"expr:gte(t,n_forced)*lt(n_forced,{count})"
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=64x48:r={FRAMES_PER_SECOND}:d={count}"),
        *("-f", "lavfi", "-i", f"aevalsrc=0.3*sin(2*PI*t*(200+t)):s=16000:d={count}"),
        *(*H264, "-bf", "0", "-force_key_frames", cuts, "-f", "segment", "-segment_time", "1"),
        *("-reset_timestamps", "1", media / "clip%05d.mp4"),
    )
    names = [f"clip{number:05d}" for number in range(count)]
    expected = Counter({"ok": count})
    for turn, name in enumerate(names[::BROKEN_EVERY]):
        outcome, harm = WAYS[turn % len(WAYS)]
        harm(media / f"{name}.mp4")
        expected += Counter({outcome: 1})
        expected["ok"] -= 1
    records = [{"video_id": name, "desc": f"the {name}"} for name in names]
    write_text(folder / "annotations.json", json.dumps(records))
    return expected


def run_all(folder: Path) -> None:
    """Run every stage from the annotations to the index of the shards, chunk after chunk."""
    clips, shards = folder / "clips.parquet", folder / "shards"
    make_clips([("train", folder / "annotations.json")], clips)
    for chunk in range(CHUNKS):
        _run_chunk(folder, chunk=chunk)
    index_shards(
        ShardsConfig(),
        indexes=[shards / f"{chunk:04d}.parquet" for chunk in range(CHUNKS)],
        output=shards / "index.parquet",
        manifest=shards / "manifest.json",
    )


def _run_chunk(folder: Path, *, chunk: int) -> None:
    settings = ExtractionConfig(frames_per_clip=8, short_side=32)
    work = folder / f"{chunk:04d}"
    probed = work / "probed.parquet"
    probe_chunk(
        folder / "clips.parquet",
        media=folder / "media",
        chunk=chunk,
        chunks=CHUNKS,
        output=probed,
        workers=WORKERS,
        known=Known(memory=folder / "names.json"),
    )
    archive, table = work / "extracted.tar", work / "extracted.parquet"
    extract_chunk(settings, probed=probed, archive=archive, table=table, workers=WORKERS)
    read_subtitles(probed, work / "subtitles.parquet")
    read_depth(settings, probed=probed, archive=work / "depth.tar", table=work / "depth.parquet")
    files = ChunkFiles(
        extracted=archive,
        extraction_table=table,
        subtitles=work / "subtitles.parquet",
        depth=work / "depth.tar",
        depth_table=work / "depth.parquet",
    )
    pack_chunk(PackingConfig(), files, folder / "shards" / f"{chunk:04d}.parquet")


if __name__ == "__main__":
    run_all(Path(sys.argv[1]))
