"""WebDataset shards: one tar a chunk, its index, and the index of all of a data set's shards.

A shard is read in two ways: by ``webdataset``, which streams it, and by the training loader, which
reads the members it needs at the offsets that the index names.
"""

import json
import logging
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pyarrow.parquet as pq

from gram.config import ShardsConfig
from gram.data.shard_index import (
    INDEX,
    SUBTITLE_FACTS,
    ShardFacts,
    Tally,
    check_shard,
    facts_of,
    joined_rows,
    write_chunk_index,
)
from gram.data.status import Status
from gram.data.tables import Row, read_rows
from gram.data.tars import Archive, add_member, open_archive
from gram.files import atomic_path, write_text
from gram.progress import track

log = logging.getLogger(__name__)

NOTHING: Row = {"shard": None, "has_video": False, "has_audio": False, "has_depth": False}
"""What a shard holds of a clip that cannot be used."""

_SUBTITLE = {"subtitle": "subtitle", **{name: f"subtitle_{name}" for name in SUBTITLE_FACTS}}
_DEPTH = {"status": "depth_status", "reason": "depth_reason"}
"""Columns of the tables of subtitles and of depth, and their names in the index."""


def pack_shard(
    *,
    extracted: Path,
    extraction_table: Path,
    subtitles: Path | None,
    depth: Path | None,
    depth_table: Path | None,
    shard: Path,
    index: Path,
) -> None:
    """Join frames, sound, subtitles and depth of one chunk's clips.

    The shard has, for each usable clip and in the order of the table, the members ``<key>.jpgs``,
    ``<key>.flac`` (if it has sound), ``<key>.depths`` (if it has depth) and ``<key>.json``. The
    same input gives the same bytes.

    Args:
        extracted: Tar of ``extract_chunk``.
        extraction_table: Its table.
        subtitles: Table with the columns of ``gram.data.subtitles.SUBTITLES``; none: no clip has
            a subtitle.
        depth: Tar that ``gram.data.depth.write_depth`` wrote; none: no clip has depth.
        depth_table: Its table.
        shard: Tar to write.
        index: Parquet file with the columns of ``gram.data.shard_index.INDEX``: one row a row of
            the extraction table.

    Raises:
        ValueError: If the inputs do not belong together, or one of them is damaged.
    """
    rows = read_rows(extraction_table)
    _join(rows, subtitles, columns=_SUBTITLE)
    _join(rows, depth_table, columns=_DEPTH)
    label = f"packing {shard.parent.name} {shard.stem}"
    with Archive(extracted) as clips, _optional(depth) as maps, atomic_path(shard) as temporary:
        with open_archive(temporary) as tar:
            for row in track(rows, total=len(rows), label=label, unit="clips"):
                row["has_subtitle"] = row["subtitle"] is not None
                if row["status"] == Status.OK:
                    row |= _pack_clip(tar, row, clips=clips, maps=maps) | {"shard": shard.name}
                else:
                    row |= NOTHING
        facts = facts_of(temporary)
    write_chunk_index(index, rows, facts=facts)
    num_packed = sum(row["status"] == Status.OK for row in rows)
    log.info("%d of %d clips packed into %s", num_packed, len(rows), shard)


def index_shards(
    settings: ShardsConfig,
    *,
    indexes: Sequence[Path],
    shards: Sequence[Path],
    output: Path,
    manifest: Path,
) -> None:
    """Join the indexes of all chunks of a data set, and check that their shards are whole.

    Args:
        settings: Share of clips that may be unusable.
        indexes: Indexes of all chunks.
        shards: Their shards, in the same order, in the folder of ``output``.
        output: Parquet file with the columns of ``gram.data.shard_index.INDEX``: all rows, in the
            order of the clips table.
        manifest: JSON file: of each shard samples, bytes and SHA-256; of each split clips, usable
            ones and those with each modality; clips that cannot be used by state, with the first
            reasons; depth files by state; versions of ffmpeg.

    Raises:
        ValueError: If a shard is not the one that its index was made with, a clip is in no index
            or in two, no clip is usable, or more than ``max_skipped`` are not.
    """
    _check_folder(shards, output.parent)
    pairs = list(zip(shards, indexes, strict=True))
    label = f"checking shards of {output.parent.name}"
    checked = {
        shard.name: check_shard(shard, index)
        for shard, index in track(pairs, total=len(pairs), label=label, unit="shards")
    }
    tally = Tally()
    samples = dict.fromkeys(checked, 0)
    with atomic_path(output) as temporary:
        with pq.ParquetWriter(temporary, INDEX) as writer:
            for table in joined_rows(indexes):
                tally.add(table)
                for entry in table["shard"].drop_null().value_counts().to_pylist():
                    samples[entry["values"]] += entry["counts"]
                writer.write_table(table)
        log.info("%s: %s", output.parent.name, tally.describe())
        _check_usable(tally, settings, name=output.parent.name)
    content = {"shards": _shards_as_json(checked, samples), **tally.as_json()}
    write_text(manifest, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


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


def _pack_clip(tar: tarfile.TarFile, row: Row, *, clips: Archive, maps: Archive | None) -> Row:
    """Add one clip to the shard and give the columns that say where it stands."""
    key = row["key"]
    record = clips.need_record(key, row["clip_id"])
    contents = {"jpgs": clips.need(f"{key}.jpgs")}
    if row["has_audio"]:
        contents["flac"] = clips.need(f"{key}.flac")
    if maps is not None and row["depth_status"] == Status.OK:
        contents["depths"] = maps.need(f"{key}.depths")
        record |= maps.need_record(key, row["clip_id"])
    record |= {name: row[name] for name in ("split", "captions", "subtitle", "label")}
    record["subtitle_origin"] = {name: row[f"subtitle_{name}"] for name in SUBTITLE_FACTS}
    columns: Row = {
        "has_video": True,
        "has_audio": "flac" in contents,
        "has_depth": "depths" in contents,
        "jpgs_sizes": record["jpgs_sizes"],
        "depths_sizes": record.get("depths_sizes"),
    }
    for kind, content in contents.items():
        member = add_member(tar, f"{key}.{kind}", content)
        columns |= {f"{kind}_{fact}": value for fact, value in member._asdict().items()}
    text = json.dumps(record, ensure_ascii=False, sort_keys=True)
    add_member(tar, f"{key}.json", text.encode())
    return columns


# --- indexing --------------------------------------------------------------------------------


def _check_folder(shards: Sequence[Path], folder: Path) -> None:
    for shard in shards:
        if shard.parent != folder:
            raise ValueError(
                f"{shard} is not in {folder}, where its index is written; a loader looks for "
                "shards beside the index, so give paths in one folder"
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


def _shards_as_json(
    checked: Mapping[str, ShardFacts], samples: Mapping[str, int]
) -> list[dict[str, object]]:
    return [
        {"shard": name, "samples": samples[name], "bytes": facts.size, "sha256": facts.sha256}
        for name, facts in checked.items()
    ]
