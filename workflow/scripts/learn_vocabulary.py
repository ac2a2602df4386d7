"""Rule learn_vocabulary: texts of a split -> word pieces."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.data.vocabulary import learn_vocabulary
from gram.jobs import VocabularySettings
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, VocabularySettings) as settings:
    learn_vocabulary(
        Path(snakemake.input.index),
        split=snakemake.wildcards.split,
        settings=settings.vocabulary,
        output=Path(snakemake.output.pieces),
    )
