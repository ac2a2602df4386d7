"""Shards: writing them from memory, and the index of a million clips: reading it, and its order."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gram.data.clip_index import read_index, select_clips
from gram.data.manifest import facts_of_index
from gram.data.order import epoch_order
from gram.data.shard_index import INDEX, WINDOW
from gram.data.shard_writer import ShardWriter
from gram.types import Modality

SAMPLES, MEMBERS = 1500, {"jpgs": 345_000, "flac": 148_000, "json": 1_200}
"""Samples that are written, and the bytes of what one has: about those of a clip of 10 s."""
TARGET_MIB = 256
CLIPS = 1_000_000
FRAMES = 32
TURNS = 3


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Medians of one computation, each turn in a process of its own."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def shards_section(folder: Path) -> str:
    """Measure, and give the section that says what came out."""
    write_index(folder / "million")
    writing, reading, choosing, ordering = (
        _in_processes(name, folder) for name in ("writing", "reading", "choosing", "ordering")
    )
    mib = SAMPLES * sum(MEMBERS.values()) / 2**20
    size = (folder / "million" / "index.parquet").stat().st_size / 2**20
    lines = [
        "## Shards",
        "",
        f"{SAMPLES} samples of {sum(MEMBERS.values()) // 1000} kB are written from memory, hashed, "
        f"flushed to the disk of the temporary folder and renamed; an index of {CLIPS:,} clips "
        f"({size:.0f} MiB) is read, the clips of a run are chosen, and an epoch is put in order. "
        f"Medians of {TURNS} turns, each in a process of its own; memory is the peak of that "
        "process above what it held before.",
        "",
        "| what | wall seconds | processor seconds | | peak memory, MiB |",
        "|---|---|---|---|---|",
        _line(
            "shards written",
            writing,
            f"{mib / writing.wall_seconds:.0f} MiB/s, {mib / writing.cpu_seconds:.0f} MiB/s of "
            "processor time",
        ),
        _line("index read", reading, ""),
        _line("clips chosen", choosing, ""),
        _line("epoch put in order", ordering, ""),
    ]
    return "\n".join(lines)


def _line(name: str, one: Measurement, rate: str) -> str:
    times = f"{one.wall_seconds:.3f} | {one.cpu_seconds:.3f}"
    return f"| {name} | {times} | {rate} | {one.peak_mib:.0f} |"


# --- what is measured ------------------------------------------------------------------------


def _writing(folder: Path) -> Callable[[], object]:
    # A few different contents in turn, so that memory holds no more than these.
    random = np.random.default_rng(0)
    contents = [{kind: random.bytes(size) for kind, size in MEMBERS.items()} for _ in range(8)]
    output = folder / "written"
    shutil.rmtree(output, ignore_errors=True)

    def write() -> None:
        with ShardWriter(output, name="0000", target_bytes=TARGET_MIB * 2**20) as writer:
            for number in range(SAMPLES):
                writer.add(f"{number:08d}", contents[number % len(contents)])

    return write


def _reading(folder: Path) -> Callable[[], object]:
    return lambda: read_index(folder / "million" / "index.parquet")


def _choosing(folder: Path) -> Callable[[], object]:
    index = read_index(folder / "million" / "index.parquet")
    modalities = (Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE)
    return lambda: select_clips(index, split="train", modalities=modalities, missing="drop")


def _ordering(_: Path) -> Callable[[], object]:
    return lambda: epoch_order(CLIPS, seed=0, epoch=3)


STEPS = {
    "writing": _writing,
    "reading": _reading,
    "choosing": _choosing,
    "ordering": _ordering,
}
"""Each prepares a call, which is measured."""


def _in_processes(name: str, folder: Path) -> Measurement:
    command = [sys.executable, "-m", "bench.shards", name, str(folder)]
    turns = [
        json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        for _ in range(TURNS)
    ]
    wall, cpu, peak = (statistics.median(column) for column in zip(*turns, strict=True))
    return Measurement(wall_seconds=wall, cpu_seconds=cpu, peak_mib=peak)


def measure(name: str, folder: Path) -> tuple[float, float, float]:
    """Measure one step in this process: wall seconds, processor seconds, MiB."""
    call = STEPS[name](folder)
    before = _peak_mib()
    began, began_cpu = time.perf_counter(), time.process_time()
    call()
    return (
        time.perf_counter() - began,
        time.process_time() - began_cpu,
        max(0.0, _peak_mib() - before),
    )


def _peak_mib() -> float:
    """Give the most memory of this program; what getrusage tells counts who started it, too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


# --- an index ----------------------------------------------------------------------------------


def write_index(folder: Path) -> None:
    """Write an index of a million clips without their shards, and a manifest of it alone."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    with pq.ParquetWriter(folder / "index.parquet", INDEX) as writer:
        for first in range(0, CLIPS, WINDOW):
            numbers = range(first, min(first + WINDOW, CLIPS))
            writer.write_table(_some_rows(numbers, random))
    facts = facts_of_index(folder / "index.parquet")._asdict()
    text = json.dumps({"shards": [], "indexes": [facts]})
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def _some_rows(numbers: range, random: np.random.Generator) -> pa.Table:
    count = len(numbers)
    sizes = random.integers(8_000, 14_000, (count, FRAMES), dtype=np.int32)
    starts = np.arange(0, count + 1, dtype=np.int32)
    captions = [f"someone shows how number {n} is made in a kitchen" for n in numbers]
    whole = [n * 500_000 % 2**30 for n in numbers]
    columns = {
        "key": [f"{n:08d}" for n in numbers],
        "clip_id": [f"video{n}" for n in numbers],
        "split": ["train" if n % 100 else "test" for n in numbers],
        "captions": pa.ListArray.from_arrays(starts, pa.array(captions)),
        "subtitle": [f"then take {n} of them and put them on the table" for n in numbers],
        "status": ["ok"] * count,
        "audio_seconds": np.full(count, 10.0),
        "shard": [f"{n // 2000:04d}-000.tar" for n in numbers],
        "jpgs_sizes": pa.ListArray.from_arrays(FRAMES * starts, pa.array(sizes.ravel())),
        "jpgs_offset": whole,
        "jpgs_size": sizes.sum(axis=1, dtype=np.int64),
        "flac_offset": [offset + 450_000 for offset in whole],
        "flac_size": random.integers(120_000, 160_000, count),
        **{f"{kind}_crc32": random.integers(0, 2**32, count) for kind in ("jpgs", "flac")},
        **{f"has_{name}": np.ones(count, bool) for name in ("video", "audio", "subtitle")},
        "has_depth": np.zeros(count, bool),
    }
    arrays = [
        pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in INDEX
    ]
    return pa.Table.from_arrays(arrays, schema=INDEX)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    os._exit(0)  # without the time that a million objects take to go
