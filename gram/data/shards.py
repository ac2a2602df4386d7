"""WebDataset shards: the tars of one chunk, its index, and the index of all chunks of a data set.

A shard is read in two ways: by ``webdataset``, which streams it, and by the training loader, which
reads the members it needs at the offsets that the index names.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from gram.config import PackingConfig, ShardsConfig
from gram.data.manifest import Finding, compare, discard, extra_files, facts_of_index
from gram.data.shard_index import (
    INDEX,
    SUBTITLE_FACTS,
    Tally,
    joined_rows,
    shards_of_chunk,
    write_chunk_index,
)
from gram.data.shard_writer import ShardWriter
from gram.data.status import Status
from gram.data.tables import Row, read_rows
from gram.data.tars import Archive
from gram.files import atomic_path, write_text
from gram.progress import track

log = logging.getLogger(__name__)

NOTHING: Row = {"shard": None, "has_video": False, "has_audio": False, "has_depth": False}
"""What a shard holds of a clip that cannot be used."""

_SUBTITLE = {"subtitle": "subtitle", **{name: f"subtitle_{name}" for name in SUBTITLE_FACTS}}
_DEPTH = {"status": "depth_status", "reason": "depth_reason"}
"""Columns of the tables of subtitles and of depth, and their names in the index."""


@dataclass(frozen=True, kw_only=True)
class ChunkFiles:
    """What is packed of a chunk.

    Attributes:
        extracted: Tar of ``extract_chunk``.
        extraction_table: Its table.
        subtitles: Table with the columns of ``gram.data.subtitles.SUBTITLES``; none: no clip has
            a subtitle.
        depth: Tar that ``gram.data.depth.write_depth`` wrote; none: no clip has depth.
        depth_table: Its table; none without it.
    """

    extracted: Path
    extraction_table: Path
    subtitles: Path | None
    depth: Path | None
    depth_table: Path | None


def pack_chunk(settings: PackingConfig, files: ChunkFiles, index: Path) -> None:
    """Join frames, sound, subtitles and depth of one chunk's clips.

    The shards have, for each usable clip and in the order of the table, the members
    ``<key>.jpgs`` (if it has frames), ``<key>.flac`` (if it has sound), ``<key>.depths`` (if it has
    depth) and ``<key>.json``. The same input gives the same bytes.

    Args:
        settings: Size of a shard.
        files: What is packed.
        index: Parquet file with the columns of ``gram.data.shard_index.INDEX``: one row a row of
            the extraction table. The shards stand beside it: ``0003-000.tar``, ``0003-001.tar``
            and so on of ``0003.parquet``. It is written last, and knows their digests.

    Raises:
        ValueError: If the inputs do not belong together, or one of them is damaged.
    """
    rows = read_rows(files.extraction_table)
    _join(rows, files.subtitles, columns=_SUBTITLE)
    _join(rows, files.depth_table, columns=_DEPTH)
    label = f"packing {index.parent.name} {index.stem}"
    target_bytes = round(settings.target_mib * 2**20)
    writer = ShardWriter(index.parent, name=index.stem, target_bytes=target_bytes)
    with Archive(files.extracted) as clips, _optional(files.depth) as maps, writer:
        for row in track(rows, total=len(rows), label=label, unit="clips"):
            row["has_subtitle"] = row["subtitle"] is not None
            if row["status"] == Status.OK:
                row |= _pack_clip(writer, row, clips=clips, maps=maps)
            else:
                row |= NOTHING
    write_chunk_index(index, rows, shards=writer.facts)
    num_packed = sum(row["status"] == Status.OK for row in rows)
    log.info("%d of %d clips packed into %d shards", num_packed, len(rows), len(writer.facts))


def index_shards(
    settings: ShardsConfig, *, indexes: Sequence[Path], output: Path, manifest: Path
) -> None:
    """Join the indexes of all chunks of a data set, and check that their shards are whole.

    A shard that is not is removed, with the index of its chunk: the next start of the workflow
    packs that chunk again.

    Args:
        settings: Share of clips that may be unusable.
        indexes: Indexes of all chunks, in the folder of ``output``, with their shards.
        output: Parquet file with the columns of ``gram.data.shard_index.INDEX``: all rows, in the
            order of the clips table.
        manifest: JSON file: of each shard samples, bytes and SHA-256, of each index bytes and
            SHA-256; of each split clips, usable ones and those with each modality; clips that
            cannot be used by state, with the first reasons; depth files by state; versions of
            ffmpeg.

    Raises:
        ValueError: If a shard is not the one that its index was made with, a clip is in no index
            or in two, no clip is usable, or more than ``max_skipped`` are not.
    """
    _check_folder(indexes, output.parent)
    shards = [facts for index in indexes for facts in shards_of_chunk(index)]
    label = f"checking shards of {output.parent.name}"
    tracked = track(shards, total=len(shards), label=label, unit="shards")
    _check_whole([compare(output.parent, facts) for facts in tracked])
    tally = Tally()
    with atomic_path(output) as temporary:
        with pq.ParquetWriter(temporary, INDEX) as writer:
            for table in joined_rows(indexes):
                tally.add(table)
                writer.write_table(table)
        log.info("%s: %s", output.parent.name, tally.describe())
        _check_usable(tally, settings, name=output.parent.name)
    files = {
        "shards": [facts._asdict() for facts in shards],
        "indexes": [facts_of_index(path)._asdict() for path in (output, *indexes)],
    }
    write_text(manifest, json.dumps(files | tally.as_json(), ensure_ascii=False, indent=1) + "\n")
    if extra := extra_files(output.parent):
        log.warning(
            "%d files in %s are of no chunk, %s first: an earlier run with more chunks left them, "
            "or somebody put them there; nothing reads them, delete them",
            len(extra),
            output.parent,
            extra[0].name,
        )


# --- packing ---------------------------------------------------------------------------------


def _optional(path: Path | None) -> AbstractContextManager[Archive | None]:
    return nullcontext() if path is None else Archive(path)


def _join(rows: Sequence[Row], path: Path | None, *, columns: Mapping[str, str]) -> None:
    """Take columns of another table of the same clips into the rows, under new names.

    Without a table the columns are null.
    """
    if path is None:
        for row in rows:
            row.update(dict.fromkeys(columns.values()))
        return
    others = read_rows(path)
    if [row["clip_id"] for row in rows] != [other["clip_id"] for other in others]:
        raise ValueError(
            f"{path} lists {len(others)} clips, not the same as the {len(rows)} of the extraction "
            "table; delete both tables and run the workflow again"
        )
    for row, other in zip(rows, others, strict=True):
        row.update({new: other[old] for old, new in columns.items()})


def _pack_clip(writer: ShardWriter, row: Row, *, clips: Archive, maps: Archive | None) -> Row:
    """Add one clip to the shards and give the columns that say where it stands."""
    key = row["key"]
    record = clips.need_record(key, row["clip_id"])
    contents = {}
    if row["has_video"]:
        contents["jpgs"] = clips.need(f"{key}.jpgs")
    if row["has_audio"]:
        contents["flac"] = clips.need(f"{key}.flac")
    if maps is not None and row["depth_status"] == Status.OK:
        contents["depths"] = maps.need(f"{key}.depths")
        record |= maps.need_record(key, row["clip_id"])
    record |= {name: row[name] for name in ("split", "captions", "subtitle", "label")}
    record["subtitle_origin"] = {name: row[f"subtitle_{name}"] for name in SUBTITLE_FACTS}
    text = json.dumps(record, ensure_ascii=False, sort_keys=True)
    placed = writer.add(key, contents | {"json": text.encode()})
    columns: Row = {
        "shard": placed.shard,
        "has_video": "jpgs" in contents,
        "has_audio": "flac" in contents,
        "has_depth": "depths" in contents,
        "jpgs_sizes": record["jpgs_sizes"],
        "depths_sizes": record.get("depths_sizes"),
    }
    for kind in contents:
        places = placed.members[kind]._asdict()
        columns |= {f"{kind}_{fact}": value for fact, value in places.items()}
    return columns


# --- indexing --------------------------------------------------------------------------------


def _check_folder(indexes: Sequence[Path], folder: Path) -> None:
    for index in indexes:
        if index.parent != folder:
            raise ValueError(
                f"{index} is not in {folder}, where the index of all is written; a loader looks "
                "for shards beside it, so give paths in one folder"
            )


def _check_whole(findings: Sequence[Finding]) -> None:
    """Remove shards that are not as they were packed, and raise if there are some."""
    damaged = [finding for finding in findings if finding.problem is not None]
    if damaged:
        discard([finding.file for finding in damaged])
        told = "; ".join(f"{finding.file} {finding.problem}" for finding in damaged)
        raise ValueError(
            f"{told}; what was left of it is removed, with the index of its chunk: run the "
            "workflow again, which packs that chunk anew"
        )


def _check_usable(tally: Tally, settings: ShardsConfig, *, name: str) -> None:
    num_clips, num_usable = tally.totals["clips"], tally.totals["usable"]
    if num_usable and tally.unusable <= settings.max_skipped * num_clips:
        return
    if num_usable:
        limit = f"more than the share of {settings.max_skipped:g} that shards.max_skipped allows"
    else:
        limit = "none is left"
    raise ValueError(
        f"{tally.unusable} of {num_clips} clips of {name} cannot be used, {limit} "
        f"({tally.describe()}); first of each kind: "
        f"{'; '.join(tally.first_reasons()) or 'there is no clip'}. "
        f"Put right media or annotations of datasets.{name}, or raise shards.max_skipped"
    )
