"""Figure: at which stage the clips of a data set were lost; and the list of those that were."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from gram.data.status import Status
from gram.evaluation.account import account_dataset
from gram.figures.style import BARS, HATCHES, Words, new_figure, write_figure
from gram.files import write_text
from gram.jobs import ClipUse

LOST = ("split", "clip_id", "stage", "status", "reason", "media")
"""Columns of the list of lost clips."""


def draw_account(
    dataset: str, *, index: Path, uses: Sequence[ClipUse], svg: Path, lost: Path
) -> None:
    """Draw how many clips of each split are left step by step, and list those that were lost.

    Args:
        dataset: Name of the data set.
        index: The index of its shards.
        uses: What runs use of it.
        svg: The figure; its CSV has a row a step.
        lost: The clips that cannot be used, as CSV: each with its stage and reason.

    Raises:
        ValueError: If there is no index, or no clip is listed in it.
    """
    accounts = [
        one for one in account_dataset(dataset, index=index, uses=uses) if one.steps[0].clips
    ]
    if not accounts:
        raise ValueError(f"{index} lists no clip; look at the annotations of {dataset}")
    numbers = pd.DataFrame(
        [
            {
                "split": account.split,
                "step": step.label,
                "clips": step.clips,
                "percent": 100 * step.clips / account.steps[0].clips,
                "lost": step.lost,
                "because": step.reasons,
                "is_use": step.use is not None,
            }
            for account in accounts
            for step in account.shown
        ]
    )
    sizes = [len(account.shown) for account in accounts]
    with new_figure(height=0.9 + 0.5 * len(sizes) + 0.26 * sum(sizes)) as figure:
        axes = figure.subplots(len(sizes), squeeze=False, sharex=True, height_ratios=sizes).ravel()
        for axis, account in zip(axes, accounts, strict=True):
            rows = numbers[numbers["split"] == account.split]
            drawn = axis.barh(
                range(len(rows)),
                rows["percent"],
                height=0.72,
                color=[BARS[int(is_use)] for is_use in rows["is_use"]],
                hatch=[HATCHES[int(is_use)] for is_use in rows["is_use"]],
            )
            texts = [
                f"{clips:,}" + (f"  (lost {gone:,})" if gone else "")
                for clips, gone in zip(rows["clips"], rows["lost"], strict=True)
            ]
            axis.bar_label(drawn, labels=texts, padding=4, fontsize=9)
            axis.set_title(account.split)
            axis.set_yticks(range(len(rows)), rows["step"])
            axis.tick_params(axis="y", length=0)
            axis.invert_yaxis()
            axis.set_xlim(0, 122)  # room for the numbers beside a bar of 100
            axis.set_xticks(range(0, 101, 20))
            axis.grid(visible=False, axis="y")
        axes[-1].set_xlabel("% of the clips that are listed")
        gone = _lost(index)
        write_text(lost, gone.to_csv(index=False, lineterminator="\n"))
        stages = gone.groupby("stage").size()
        where = ", ".join(f"{stage} {count:,}" for stage, count in stages.items())
        caption = (
            f"Clips of {dataset} that are left at each step, and how many are lost. Each modality "
            "is counted of the readable clips; uses (hatched) of all that are listed. Not usable: "
            f"{f'{len(gone):,} ({where})' if len(gone) else 'none'}."
        )
        title = f"Clips of {dataset}, step by step"
        write_figure(
            figure, svg, words=Words(title, caption), numbers=numbers.drop(columns="is_use")
        )


def _lost(index: Path) -> pd.DataFrame:
    """List the clips that cannot be used, in the order of the index."""
    known = set(pq.read_schema(index).names)
    columns = [name for name in LOST if name in known]
    frame = pq.read_table(index, columns=columns).to_pandas()
    lost: pd.DataFrame = frame[frame["status"] != Status.OK]
    return lost
