"""The account of losses: of the clips that annotations list, how many each run used, and why not.

Counted anew from the index of the shards, by the same choice that trainings and benchmarks make.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gram.data.clip_index import select_clips
from gram.data.status import DecidingStage, Status
from gram.evaluation.results import letters
from gram.jobs import ClipUse
from gram.types import ITEM_MODALITIES, Modality

NOT_FOUND = (Status.NOT_FOUND, Status.DUPLICATE)
"""States of clips whose media file could not be told; those that could not be fetched have none."""

FACTS = [
    *("split", "status", "stage", "subtitle_reason", "depth_status"),
    *(f"has_{modality}" for modality in ITEM_MODALITIES),
]
"""Columns of the index that tell what became of a clip."""

COLUMNS = ("dataset", "split", "step", "run", "modalities", "missing", "clips", "lost", "because")
"""Columns of the account as CSV."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """How many clips of a split are left at one step of the way.

    Attributes:
        name: ``listed``, ``found``, ``readable``, ``with video`` and so on for each modality, then
            ``used in`` evaluation, finetuning or pretraining.
        clips: How many are left.
        lost: How many of those at the step that it follows from are not.
        because: Why, with counts: ``{"truncated (extract)": 7}``.
        use: The use that the step is, or None.
    """

    name: str
    clips: int
    lost: int
    because: Mapping[str, int]
    use: ClipUse | None = None

    @property
    def label(self) -> str:
        """The name, and of a use what it needed: ``used in evaluation, TVA drop``."""
        if self.use is None:
            return self.name
        sound = ", with sound" if self.use.needs_sound else ""
        return f"{self.name}, {letters(self.use.modalities)} {self.use.missing}{sound}"

    @property
    def reasons(self) -> str:
        """The reasons in one line."""
        return ", ".join(f"{what} {count:,}" for what, count in self.because.items())


@dataclass(frozen=True, kw_only=True)
class SplitAccount:
    """The steps of one split of a data set, in the order of the way."""

    dataset: str
    split: str
    steps: tuple[Step, ...]

    @property
    def shown(self) -> tuple[Step, ...]:
        """The steps, of those with one label the first: runs that need the same use the same."""
        first: dict[str, Step] = {}
        for step in self.steps:
            first.setdefault(step.label, step)
        return tuple(first.values())


def account_dataset(name: str, *, index: Path, uses: Sequence[ClipUse]) -> list[SplitAccount]:
    """Count what became of the clips of a data set, split by split in the order of the clips.

    Args:
        name: Name of the data set.
        index: The index of its shards.
        uses: What runs use; those of other data sets are passed over.

    Raises:
        ValueError: If there is no index, or it lacks a split that is used.
    """
    if not index.is_file():
        raise ValueError(f"no index of shards at {index}; run the workflow, which makes it")
    table = pq.read_table(index, columns=FACTS)
    rows = table.to_pandas()
    own = [use for use in uses if use.dataset == name]
    return [
        SplitAccount(
            dataset=name,
            split=split,
            steps=(
                *_steps(rows[rows["split"] == split]),
                *(_use(table, use) for use in own if use.split == split),
            ),
        )
        for split in map(str, rows["split"].unique())
    ]


def account_as_csv(accounts: Iterable[SplitAccount]) -> str:
    """Give the account of data sets as CSV, one line a step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for account in accounts:
        for step in account.steps:
            used = ("", "", "") if step.use is None else _used_by(step.use)
            reasons = "; ".join(f"{what} {count}" for what, count in step.because.items())
            head = (account.dataset, account.split, step.name)
            writer.writerow([*head, *used, step.clips, step.lost, reasons])
    return text.getvalue()


def _used_by(use: ClipUse) -> tuple[str, str, str]:
    return use.run, letters(use.modalities), use.missing


def _steps(rows: pd.DataFrame) -> Iterable[Step]:
    is_lost_n = rows["status"].isin(NOT_FOUND) | (rows["stage"] == DecidingStage.FETCH)
    found, usable = rows[~is_lost_n], rows[rows["status"] == Status.OK]
    yield Step(name="listed", clips=len(rows), lost=0, because={})
    yield _step("found", before=rows, after=found, because=_states(rows[is_lost_n]))
    unusable = found[found["status"] != Status.OK]
    yield _step("readable", before=found, after=usable, because=_states(unusable))
    for modality in ITEM_MODALITIES:
        without = usable[~usable[f"has_{modality}"].astype(bool)]
        having = usable.drop(without.index)
        because = _causes(without, modality)
        yield _step(f"with {modality}", before=usable, after=having, because=because)


def _step(
    name: str, *, before: pd.DataFrame, after: pd.DataFrame, because: Mapping[str, int]
) -> Step:
    return Step(name=name, clips=len(after), lost=len(before) - len(after), because=because)


def _use(table: pa.Table, use: ClipUse) -> Step:
    """Choose as the run does; what it leaves out is counted from the listed ones on."""
    counts = dict(
        select_clips(
            table,
            split=use.split,
            modalities=use.modalities,
            missing=use.missing,
            needs_sound=use.needs_sound,
        ).counts
    )
    listed, used = counts.pop("rows"), counts.pop("used")
    because = {what: count for what, count in counts.items() if count}
    return Step(
        name=f"used in {use.purpose}", clips=used, lost=listed - used, because=because, use=use
    )


def _states(rows: pd.DataFrame) -> dict[str, int]:
    """Count clips that were set aside by state and stage, the most frequent first."""
    return _counted(f"{row.status} ({row.stage})" for row in rows.itertuples())


def _causes(rows: pd.DataFrame, modality: Modality) -> dict[str, int]:
    """Count why usable clips lack a modality; frames and sound have no cause but the file's."""
    column = {Modality.SUBTITLE: "subtitle_reason", Modality.DEPTH: "depth_status"}.get(modality)
    if column is None:
        cause = "no frames" if modality is Modality.VIDEO else "no sound"
        return {cause: len(rows)} if len(rows) else {}
    return _counted(rows[column].fillna("not asked for"))


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
