"""Rule show_retrieval: scores, embeddings and clips -> a page of queries and what they find."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.jobs import PageSettings
from gram.report.retrieval import show_retrieval
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, PageSettings) as settings:
    show_retrieval(
        settings,
        scores=Path(snakemake.input.scores),
        embeddings=Path(snakemake.input.ranked[0]).parent,
        fit_folder=next((Path(path).parent for path in snakemake.input.fitted), None),
        matches=next(map(Path, snakemake.input.matches), None),
        index=Path(snakemake.input.index[0]),
        output=Path(snakemake.output.page),
    )
