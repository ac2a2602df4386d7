"""Media files of a chunk of clips -> what they are, and which of them can be used.

The files are read by ``gram.data.media_facts`` in processes of its own, which may crash or stall:
that costs the file that was being read, and the process is started anew for the next one.
"""

import json
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import gram
from gram.data.media_facts import READY, MediaFacts
from gram.data.media_files import (
    MediaFolder,
    chunk_of,
    find_media,
    list_media,
    without_suffix,
)
from gram.data.status import DecidingStage, Medium, Status
from gram.data.tables import PROBE, Row, printable, read_rows, write_rows
from gram.files import write_text
from gram.progress import track

log = logging.getLogger(__name__)

PROBE_SECONDS = 60.0
"""Wall-clock limit of reading one file's headers."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a media folder before it is looked at.

    Attributes:
        memory: File in which the names in the folder are remembered (``gram.data.listing``); None:
            none are.
        fetched: Table of what became of a chunk's files while they were fetched, with the columns
            of ``gram.data.tables.FETCH``; None: they were not fetched one by one.
    """

    memory: Path | None = None
    fetched: Path | None = None


NOTHING = Known()


def confirm_media(media: Path, *, receipt: Path) -> None:
    """Write that a data set's media files are there, for a job that is planned when they were not.

    Args:
        media: Folder of the media files.
        receipt: Text file that says how many there are.

    Raises:
        ValueError: If the media folder is absent, cannot be read or holds no media file.
    """
    write_text(receipt, f"{len(list_media(media).by_stem)} names of media files in {media}\n")


def probe_chunk(
    clips: Path,
    *,
    media: Path,
    chunk: int,
    chunks: int,
    output: Path,
    workers: int,
    known: Known = NOTHING,
) -> None:
    """Find and probe the media files of one chunk's clips.

    Args:
        clips: The clips table.
        media: Folder of the media files.
        chunk: Which chunk, from 0 to ``chunks - 1``.
        chunks: Number of chunks.
        output: Parquet file with the columns of ``gram.data.tables.PROBE``: the rows of this
            chunk, in the order of the clips table, usable or not.
        workers: Number of reading processes.
        known: What is known of the media folder.

    Raises:
        ValueError: If the media folder is absent, if it is empty without a table that says why, or
            if no reading process can be started.
    """
    rows = [row for row in read_rows(clips) if chunk_of(row["source_id"], chunks) == chunk]
    failures = {} if known.fetched is None else _failures(known.fetched)
    find = list_media if known.fetched is None else find_media
    found = find(media, memory=known.memory)
    for name, reason in found.unreadable.items():
        log.warning("the folder %s cannot be read: %s", media / name, reason)
    files = {row["source_id"]: found.named(row["source_id"]) for row in rows}
    paths = [path for of_id in files.values() for path in of_id]
    facts = dict(zip(paths, _probe_files(paths, workers=workers, chunk=chunk), strict=True))
    for row in rows:
        source_id = row["source_id"]
        path = _choose(files[source_id], facts)
        if path is not None:
            row.update(_columns(row, path, facts[path]))
        elif source_id in failures and not files[source_id]:
            row.update(failures[source_id])
        else:
            row.update(_columns_without_file(source_id, found))
        row["reason"] = printable(row["reason"]) if row["reason"] else None
    write_rows(output, rows, schema=PROBE)
    counts = Counter(row["status"] for row in rows)
    log.info(
        "chunk %d: %d clips, %s", chunk, len(rows), ", ".join(f"{n} {s}" for s, n in counts.items())
    )


def probe_files(rows: Sequence[Row], paths: Sequence[Path], *, output: Path, workers: int) -> None:
    """Probe the media file of each clip, whatever it is called.

    Args:
        rows: Rows of a clips table.
        paths: The file of each.
        output: Parquet file with the columns of ``gram.data.tables.PROBE``, one row a row.
        workers: Number of reading processes.
    """
    there = [path for path in paths if path.is_file()]
    facts = dict(zip(there, _probe_files(there, workers=workers, chunk=0), strict=True))
    probed = [
        row | (_columns(row, path, facts[path]) if path in facts else _columns_of_no_file(path))
        for row, path in zip(rows, paths, strict=True)
    ]
    write_rows(output, probed, schema=PROBE)


def _columns_of_no_file(path: Path) -> Row:
    reason = f"{path} is {'a folder' if path.is_dir() else 'not there'}; give a media file"
    return {"status": Status.NOT_FOUND, "stage": DecidingStage.PROBE, "reason": reason}


def _choose(paths: Sequence[Path], facts: Mapping[Path, MediaFacts]) -> Path | None:
    """Choose among the files of one name: the only film that can be used, or else the only file.

    Where no film can, a broken file counts before the sound or the picture that stands beside it:
    it may be the film, and is told of.
    """
    films = [path for path in paths if facts[path].medium is Medium.FILM]
    broken = [path for path in paths if facts[path].status is not Status.OK]
    candidates = films or broken or paths
    return candidates[0] if len(candidates) == 1 else None


def _probe_files(paths: Sequence[Path], *, workers: int, chunk: int) -> Iterator[MediaFacts]:
    """Give the facts of each file, in order."""
    with Readers(min(workers, len(paths))) as readers:
        facts = readers.read_all(paths)
        yield from track(facts, total=len(paths), label=f"probing chunk {chunk}", unit="files")


def _failures(fetched: Path) -> dict[str, Row]:
    """Give the columns of the clips whose files could not be fetched, by source id."""
    return {
        row["source_id"]: {
            "status": row["status"],
            "stage": DecidingStage.FETCH,
            "reason": row["reason"],
        }
        for row in read_rows(fetched)
        if row["status"] != Status.OK
    }


def _columns_without_file(source_id: str, found: MediaFolder) -> Row:
    """Give the columns of a clip whose id names no media file, or several."""
    row: Row = {"stage": DecidingStage.PROBE}
    if same := found.named(source_id):
        names = " and ".join(str(path.relative_to(found.folder)) for path in same)
        reason = f"{len(same)} media files are named {source_id!r}: {names}; rename or remove"
        return row | {"status": Status.DUPLICATE, "reason": f"{reason} all but one"}
    if folder := found.folder_named(source_id):
        reason = f"{folder.name} is a folder, not a media file"
        return row | {"status": Status.UNREADABLE, "reason": reason}
    reason = f"no media file named {source_id!r} in {found.folder}"
    if near := found.near(source_id):
        has_suffix = without_suffix(source_id) == near.stem
        remedy = "leave out the suffix" if has_suffix else "spell the id as the file is named"
        reason += f", but {near.name} is there; {remedy} in the annotation"
    if found.unreadable:
        told = ", ".join(f"{name}: {why}" for name, why in sorted(found.unreadable.items())[:3])
        reason += f"; {len(found.unreadable)} folders in it cannot be read ({told})"
    return row | {"status": Status.NOT_FOUND, "reason": reason}


def _columns(row: Row, path: Path, facts: MediaFacts) -> Row:
    """Give the columns that probing adds to the row of a clip whose file was read."""
    columns = {name: value for name, value in vars(facts).items() if name in PROBE.names}
    columns["media"] = str(path)
    columns["has_video"] = facts.video_stream is not None
    columns["has_audio"] = facts.audio_stream is not None
    if facts.status is Status.OK:
        columns |= _part(row, facts)
    if os.fsencode(path).decode(errors="replace") != str(path):
        reason = "has a path that is not UTF-8, which no table can hold; rename it"
        columns |= {"media": None, "status": Status.UNREADABLE, "reason": reason}
    if columns["status"] != Status.OK:
        columns["stage"] = DecidingStage.PROBE
        columns["reason"] = f"{path.name} {columns['reason']}"
    return columns


def _part(row: Row, facts: MediaFacts) -> Row:
    """Give length, status and reason of the part of a file that a clip is."""
    start, end, file_seconds = row["start_seconds"], row["end_seconds"], facts.file_seconds
    if file_seconds is None:
        if start is None and end is None:
            return {}
        reason = "is a still picture, which has no parts; leave out where the clip starts and ends"
        return {"status": Status.TOO_SHORT, "reason": reason}
    if start is None and end is None and facts.cut is not None:
        # A part before the cut may be whole; extraction decides.
        return {"status": Status.TRUNCATED, "reason": f"lacks its end: {facts.cut}"}
    seconds = min(end if end is not None else file_seconds, file_seconds) - (start or 0.0)
    if seconds <= 0:
        reason = f"ends at {file_seconds:.2f} s, the clip starts at {start:.2f} s"
        return {"status": Status.TOO_SHORT, "reason": reason}
    return {"duration_seconds": seconds}


# --- reading processes -----------------------------------------------------------------------


class Readers:
    """Processes that read the facts of media files, one file at a time each; a context.

    Not a ``multiprocessing`` pool: a process that dies breaks such a pool with all that waits in
    it, one that stalls cannot be stopped, and its start runs the job's script again.
    """

    def __init__(self, workers: int, *, timeout_seconds: float = PROBE_SECONDS) -> None:
        """Prepare the pool; a process starts when there is something for it to read.

        Args:
            workers: Number of processes at a time.
            timeout_seconds: Wall-clock limit of one file.
        """
        self._timeout_seconds = timeout_seconds
        self._readers = [_Reader() for _ in range(max(workers, 1))]
        self._idle: queue.SimpleQueue[_Reader] = queue.SimpleQueue()
        for reader in self._readers:
            self._idle.put(reader)

    def __enter__(self) -> "Readers":
        """Give the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        for reader in self._readers:
            reader.stop()

    def read_all(self, paths: Sequence[Path]) -> Iterator[MediaFacts]:
        """Read the facts of each file, in order.

        A file on which the process dies is ``unreadable``, one on which it stalls is ``timeout``.
        A process that read other files before may have died of those: the file gets a new one.

        Raises:
            ValueError: If a process cannot be started.
        """
        with ThreadPoolExecutor(max_workers=len(self._readers)) as threads:
            try:
                yield from threads.map(self._read, paths)
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, path: Path) -> MediaFacts:
        reader = self._idle.get()
        try:
            return reader.read(path, timeout_seconds=self._timeout_seconds)
        finally:
            self._idle.put(reader)


class _Reader:
    """One reading process, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None

    def read(self, path: Path, *, timeout_seconds: float) -> MediaFacts:
        is_new = self._process is None
        facts = self._read_once(path, timeout_seconds=timeout_seconds)
        if isinstance(facts, str) and not is_new:
            facts = self._read_once(path, timeout_seconds=timeout_seconds)
        if isinstance(facts, MediaFacts):
            return facts
        reason = f"crashed the reading process ({facts})"
        return MediaFacts(status=Status.UNREADABLE, reason=reason)

    def _read_once(self, path: Path, *, timeout_seconds: float) -> MediaFacts | str:
        """Read a file; where the process died, give its last words instead of facts."""
        process = self._process or self._start()
        is_timed_out = threading.Event()

        def stop() -> None:
            is_timed_out.set()
            process.kill()

        timer = threading.Timer(timeout_seconds, stop)
        timer.start()
        try:
            answer = _ask(process, path)
        finally:
            timer.cancel()
        if answer.endswith("\n") and not is_timed_out.is_set():
            facts = json.loads(answer)
            medium = facts["medium"] and Medium(facts["medium"])
            return MediaFacts(**{**facts, "status": Status(facts["status"]), "medium": medium})
        said = self.stop()
        if is_timed_out.is_set():
            reason = f"took longer than {timeout_seconds:g} s to probe"
            return MediaFacts(status=Status.TIMEOUT, reason=reason)
        return said

    def _start(self) -> subprocess.Popen[str]:
        """Start the process and wait until it is ready."""
        root = str(Path(gram.__file__).parents[1])
        search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gram.data.media_facts"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": search},
            encoding="utf-8",
        )
        if self._process.stdout is not None and self._process.stdout.readline().strip() == READY:
            return self._process
        raise ValueError(
            f"the process that reads media files does not start ({self.stop()}); check that "
            f"`{sys.executable} -m gram.data.media_facts` runs, and reinstall the package av"
        )

    def stop(self) -> str:
        """End the process and give its last words."""
        said = ""
        if self._process is not None and self._errors is not None:
            self._process.kill()
            self._process.communicate()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            said = lines[-1] if lines else f"exit status {self._process.returncode}"
            self._errors.close()
        self._process = self._errors = None
        return said


def _ask(process: subprocess.Popen[str], path: Path) -> str:
    """Give the process's answer on one file; nothing if it died."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""
