"""Rule make_report: tables, figures, pages and origins -> a folder that opens offline."""

from typing import TYPE_CHECKING

from gram.jobs import ReportSettings
from gram.report.folder import ReportInputs, make_report
from gram.workflow import RULES_FILE, job, paths

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, ReportSettings) as settings:
    given = snakemake.input
    inputs = ReportInputs(
        tables=paths(given.tables),
        histories=paths(given.histories),
        descriptions=paths(given.descriptions),
        scores=paths(given.scores),
        indexes=paths(given.indexes),
        pages=paths(given.pages),
        figures=paths(given.figures),
        rules=RULES_FILE,
    )
    make_report(settings, inputs, output=paths(snakemake.output)[0])
