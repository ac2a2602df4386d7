"""Rule retry_fetch: tables of fetched clips -> a retry more for those with transient states."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.fetch.clips import ask_again
from gram.jobs import NoSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    ask_again([Path(path) for path in snakemake.params.tables])
