"""Rule recognize_speech: sound of a chunk's clips -> their subtitles."""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.device import choose_device
from gram.jobs import SpeechSettings
from gram.perception.speech import recognize_speech
from gram.workflow import job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, SpeechSettings) as settings:
    recognize_speech(
        settings.speech,
        archive=Path(snakemake.input.extracted),
        table=Path(snakemake.input.extraction_table),
        output=Path(snakemake.output.table),
        device=choose_device(snakemake.resources.gpu),
    )
