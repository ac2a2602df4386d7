"""Rule draw_account: index of shards -> clips left step by step, and those that were lost."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.figures.account import draw_account
from gram.jobs import AccountSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, AccountSettings) as settings:
    draw_account(
        snakemake.wildcards.dataset,
        index=Path(snakemake.input.index),
        uses=settings.uses,
        svg=Path(snakemake.output.svg),
        lost=Path(snakemake.output.lost),
    )
