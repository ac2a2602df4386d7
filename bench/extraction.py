"""Extraction: what a clip and thousands of clips cost, and what a look at a large folder costs.

Processor seconds count those of ffmpeg. ``python -m bench.extraction CLIP`` decodes one clip.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gram.config import ExtractionConfig
from gram.data.decode import decode_clip
from gram.data.decode_command import ClipSource, check_command
from gram.data.ffmpeg import ffmpeg_version, find_ffmpeg, run
from gram.data.listing import SETTLED_NS
from gram.data.media_files import digest_of_files, files_by_chunk, list_media
from gram.data.status import Status
from tests.scale.many_clips import CHUNKS, WORKERS, make_many
from tests.scale.processes import run_module
from tests.unit.data.made_media import make_media

SECONDS = 10.0
TURNS = 9
FILES, FOLDER_CHUNKS = 100_000, 150
MANY = 2000


def extraction_section(folder: Path) -> str:
    """Measure one clip and a large folder, and give the section that says what came out."""
    clip = make_media(
        folder / "clip.mp4",
        *("-c:v", "libx264", "-preset", "medium", "-b:v", "700k", "-b:a", "128k"),
        picture=f"mandelbrot=s=640x360:r=30,trim=duration={SECONDS:g}",
        sound=f"aevalsrc=0.3*sin(2*PI*t*(200+99*t))|0.2*sin(999*t):s=44100:d={SECONDS:g}",
        codec=("-pix_fmt", "yuv420p"),
    )
    variants = {
        "picture decoded, nothing kept": lambda: _check(clip),
        "frames and sound extracted": lambda: _extract(clip),
    }
    seconds = _cpu_in_turns(variants)
    peak = run_module("bench.extraction", clip).peak_mib
    lines = [
        "## Extraction",
        "",
        f"One clip of {SECONDS:g} s, 640 x 360, 30 Hz, {_kilobits(clip)} kbit/s of H.264 "
        f"and stereo AAC; {ExtractionConfig().frames_per_clip} frames, ffmpeg "
        f"{ffmpeg_version()} on one core. Processor seconds, medians of {TURNS} runs that take "
        f"turns; the largest process held {peak:.0f} MiB.",
        "",
        "| | processor seconds | least | to the first |",
        "|---|---|---|---|",
        *_rows(seconds),
        "",
        f"A folder of {FILES:,} files, {FOLDER_CHUNKS} chunks:",
        "",
        "| | processor seconds | least | to the first |",
        "|---|---|---|---|",
        *_rows(_cpu_in_turns(_looks(folder), turns=5)),
    ]
    return "\n".join(lines)


def many_section(folder: Path) -> str:
    """Run thousands of clips through all stages, and give the section of what that took."""
    expected = make_many(folder / "many", count=MANY)
    used = run_module("tests.scale.many_clips", folder / "many")
    return "\n".join(
        [
            "## Many clips",
            "",
            f"{MANY:,} generated clips of 1 s, 64 x 48, of which {MANY - expected['ok']} are "
            f"broken, from media files to the index of {CHUNKS} shards, {WORKERS} ffmpeg processes "
            "at a time.",
            "",
            "| clips a second | clips a processor second | peak memory of the largest process |",
            "|---|---|---|",
            f"| {MANY / used.wall_seconds:.1f} | {MANY / used.cpu_seconds:.1f} "
            f"| {used.peak_mib:.0f} MiB |",
        ]
    )


# --- one clip ----------------------------------------------------------------------------------


def _kilobits(clip: Path) -> int:
    return round(8 * clip.stat().st_size / SECONDS / 1000)


def _source(clip: Path) -> ClipSource:
    return ClipSource(
        media=clip,
        video_stream=0,
        audio_stream=1,
        start_seconds=None,
        end_seconds=None,
        duration_seconds=SECONDS,
    )


def _check(clip: Path) -> None:
    done = run(check_command(_source(clip), 0, program=find_ffmpeg()), timeout_seconds=60)
    if done.returncode:
        raise RuntimeError(f"ffmpeg cannot decode {clip}: {done.last_message}")


def _extract(clip: Path) -> None:
    decoded = decode_clip(_source(clip), ExtractionConfig(), program=find_ffmpeg())
    if decoded.status is not Status.OK or decoded.flac is None:
        raise RuntimeError(f"{clip} cannot be extracted: {decoded.reason}")


# --- a large folder ----------------------------------------------------------------------------


def _looks(folder: Path) -> dict[str, Callable[[], object]]:
    """Make a folder of many files, and give what the workflow does with it."""
    media, memory = folder / "media", folder / "names.json"
    media.mkdir()
    for number in range(FILES):
        (media / f"video{number}.mp4").touch()
    time.sleep(1.5 * SETTLED_NS / 1e9)

    def a_job_looks() -> None:
        digest_of_files(media, files_by_chunk(media, chunks=FOLDER_CHUNKS, memory=memory)[0])
        list_media(media, memory=memory)

    def the_workflow_starts() -> None:
        for files in files_by_chunk(media, chunks=FOLDER_CHUNKS, memory=memory):
            digest_of_files(media, files)

    def all_is_read() -> None:
        memory.unlink(missing_ok=True)
        list_media(media, memory=memory)

    return {
        "all names are read, and remembered": all_is_read,
        "a start of the workflow: times of all files": the_workflow_starts,
        "a job of one chunk": a_job_looks,
    }


# --- measuring ---------------------------------------------------------------------------------


def _cpu_in_turns(
    variants: dict[str, Callable[[], object]], *, turns: int = TURNS
) -> dict[str, list[float]]:
    """Give the processor seconds of each variant in each turn, those of its children included."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(turns):
        for name, variant in variants.items():
            began = _cpu_seconds()
            variant()
            seconds[name].append(_cpu_seconds() - began)
    return seconds


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _rows(seconds: dict[str, list[float]]) -> list[str]:
    medians = {name: statistics.median(of_turns) for name, of_turns in seconds.items()}
    first = next(iter(medians.values()))
    return [
        f"| {name} | {median:.3f} | {min(seconds[name]):.3f} | {median / first:.2f} |"
        for name, median in medians.items()
    ]


if __name__ == "__main__":
    _extract(Path(sys.argv[1]))
