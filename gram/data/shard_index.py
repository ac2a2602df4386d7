"""The index of shards: its columns, the join of all chunks' indexes, and what it counts.

An index is a parquet file with one row a clip of the clips table, usable or not. That of a chunk
also remembers sizes and digests of the shards that it was made with.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gram.data.manifest import ShardFacts
from gram.data.status import Status
from gram.data.subtitles import SUBTITLES
from gram.data.tables import EXTRACTION, Row, write_rows
from gram.data.tars import MEMBERS
from gram.types import ITEM_MODALITIES

SUBTITLE_FACTS = tuple(name for name in SUBTITLES.names if name not in {"clip_id", "subtitle"})
"""Columns of a table of subtitles that say where a subtitle is from, or why there is none."""

INDEX = pa.schema(
    [
        *EXTRACTION,
        ("shard", pa.string()),  # file name, beside the index; null: the clip cannot be used
        ("has_depth", pa.bool_()),  # this, has_video and has_audio say what the shard holds
        ("has_subtitle", pa.bool_()),
        *((f"subtitle_{name}", SUBTITLES.field(name).type) for name in SUBTITLE_FACTS),
        ("depth_status", pa.string()),  # see gram.data.depth.DEPTH
        ("depth_reason", pa.string()),
        *(
            (f"{kind}_{fact}", pa.int64())
            for kind in MEMBERS
            for fact in ("offset", "size", "crc32")
        ),
        ("jpgs_sizes", pa.list_(pa.int32())),  # bytes of each JPEG inside the member
        ("depths_sizes", pa.list_(pa.int32())),
    ]
)
"""Columns of an index."""

WINDOW = 2**17
"""Rows of the clips table that are in memory at a time while indexes are joined."""

FIRST_REASONS = 5
"""Reasons that are told of each way in which clips cannot be used."""

_SHARDS = b"shards"


def write_chunk_index(path: Path, rows: Sequence[Row], *, shards: Sequence[ShardFacts]) -> None:
    """Write the index of one chunk, which remembers the facts of its shards."""
    write_rows(path, rows, schema=INDEX.with_metadata({_SHARDS: json.dumps(shards)}))


def shards_of_chunk(index: Path) -> list[ShardFacts]:
    """Read which shards the index of a chunk was made with."""
    return [ShardFacts(*entry) for entry in json.loads(pq.read_schema(index).metadata[_SHARDS])]


def joined_rows(indexes: Sequence[Path]) -> Iterator[pa.Table]:
    """Give the rows of all indexes in the order of the clips table, ``WINDOW`` rows at a time.

    Each index is opened once a window, so that memory and open files stay few for any number of
    clips and chunks.

    Raises:
        ValueError: If a row of the clips table is in no index, or in two.
    """
    num_rows = sum(pq.read_metadata(index).num_rows for index in indexes)
    for start in range(0, num_rows, WINDOW):
        end = min(start + WINDOW, num_rows)
        inside = (pc.field("key") >= f"{start:08d}") & (pc.field("key") < f"{end:08d}")
        parts = [pq.read_table(index, filters=inside) for index in indexes]
        table = pa.concat_tables(part.replace_schema_metadata() for part in parts)
        table = table.sort_by("key")
        if table["key"].to_pylist() != [f"{number:08d}" for number in range(start, end)]:
            raise ValueError(
                f"the indexes in {indexes[0].parent} hold {num_rows} clips, but not each of the "
                f"rows {start} to {end - 1} of the clips table once; delete that folder and run "
                "the workflow again"
            )
        yield table


class Tally:
    """Counts over the rows of an index: clips by state and, by split, what the usable ones have."""

    def __init__(self) -> None:
        """Start at 0."""
        self._splits: dict[str, Counter[str]] = {}
        self._states: Counter[tuple[str, str]] = Counter()
        self._reasons: dict[tuple[str, str], list[str]] = {}
        self._depth: Counter[str] = Counter()
        self._subtitles: Counter[str] = Counter()
        self._versions: set[str] = set()

    def add(self, table: pa.Table) -> None:
        """Count some rows."""
        self._add_unusable(table.filter(pc.field("status") != Status.OK))
        usable = table.filter(pc.field("status") == Status.OK)
        for split in table["split"].unique().to_pylist():
            counts = self._splits.setdefault(split, Counter())
            is_in_split = pc.field("split") == split
            counts["clips"] += table.filter(is_in_split).num_rows
            of_split = usable.filter(is_in_split)
            counts["usable"] += of_split.num_rows
            for name in ITEM_MODALITIES:
                counts[name] += pc.sum(of_split[f"has_{name}"], min_count=0).as_py()
        self._depth.update(usable["depth_status"].drop_null().to_pylist())
        for column in ("subtitle_source", "subtitle_reason"):
            self._subtitles.update(usable[column].drop_null().to_pylist())
        self._versions.update(usable["ffmpeg_version"].drop_null().unique().to_pylist())

    def _add_unusable(self, table: pa.Table) -> None:
        for row in table.select(["clip_id", "status", "stage", "reason"]).to_pylist():
            state = (row["status"], row["stage"])
            self._states[state] += 1
            reasons = self._reasons.setdefault(state, [])
            if len(reasons) < FIRST_REASONS:
                reasons.append(f"clip {row['clip_id']!r}: {row['reason']}")

    @property
    def totals(self) -> Counter[str]:
        """Number of ``clips``, of ``usable`` ones and of those with each modality."""
        return sum(self._splits.values(), Counter())

    @property
    def unusable(self) -> int:
        """Number of clips that cannot be used."""
        return self.totals["clips"] - self.totals["usable"]

    def describe(self) -> str:
        """Give all counts in one line."""
        totals = self.totals
        parts = [f"{totals['clips']} clips", f"{totals['usable']} usable"]
        parts += [f"{count} {status} ({stage})" for (status, stage), count in self._ordered()]
        parts += [f"{totals[name]} with {name}" for name in ITEM_MODALITIES]
        return ", ".join(parts)

    def first_reasons(self) -> list[str]:
        """Give the first reason of each state, the most frequent state first."""
        return [self._reasons[state][0] for state, _ in self._ordered()]

    def as_json(self) -> dict[str, object]:
        """Give all counts as plain values, for the manifest."""
        return {
            "splits": [{"split": split, **counts} for split, counts in self._splits.items()],
            "unusable": [
                {"status": status, "stage": stage, "clips": count, "first_reasons": reasons}
                for (status, stage), count in self._ordered()
                for reasons in [self._reasons[status, stage]]
            ],
            "subtitles": dict(sorted(self._subtitles.items())),
            "depth": dict(sorted(self._depth.items())),
            "ffmpeg_versions": sorted(self._versions),
        }

    def _ordered(self) -> list[tuple[tuple[str, str], int]]:
        return sorted(self._states.items(), key=lambda item: (-item[1], item[0]))
