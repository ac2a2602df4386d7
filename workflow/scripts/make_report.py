"""Rule make_report: tables, histories, scores and embeddings -> one page that opens offline."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.evaluation.report import make_report
from gram.jobs import ReportSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ReportSettings) as settings:
    make_report(
        settings,
        tables=[Path(path) for path in snakemake.input.tables],
        histories=[Path(path) for path in snakemake.input.histories],
        scores=[Path(path) for path in snakemake.input.scores],
        embeddings=Path(snakemake.input.embeddings[0]).parent,
        indexes=[Path(path) for path in snakemake.input.indexes],
        output=Path(snakemake.output.html),
    )
