"""Rule make_table: score files -> one table as CSV, Markdown and LaTeX."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.evaluation.references import read_references
from gram.evaluation.tables import make_table
from gram.jobs import TableSettings
from gram.workflow import job, tracked

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, TableSettings) as settings, tracked(snakemake) as tracker:
    make_table(
        settings.table,
        scores=[Path(path) for path in snakemake.input.scores],
        references=read_references(Path(snakemake.input.references)),
        csv=Path(snakemake.output.csv),
        tracker=tracker,
    )
