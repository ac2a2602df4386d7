"""Rule match_pairs: embeddings and condition tokens -> what the matching head says of pairs."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.device import choose_device
from gram.evaluation.match_pairs import match_pairs
from gram.jobs import MatchSettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, MatchSettings) as settings:
    match_pairs(
        settings,
        checkpoint=Path(snakemake.input.checkpoint[0]),
        folder=Path(snakemake.input.ranked[0]).parent,
        fit_folder=next((Path(path).parent for path in snakemake.input.fitted), None),
        output=Path(snakemake.output.matches),
        device=choose_device(snakemake.resources.gpu),
        pairs_at_once=snakemake.resources.pairs,
    )
