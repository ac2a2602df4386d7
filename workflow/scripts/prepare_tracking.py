"""Rule prepare_tracking: MLflow's address -> a database that several jobs can write to."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gram.files import write_text
from gram.jobs import NoSettings
from gram.tracking import prepare_tracking
from gram.workflow import ADDRESS_VARIABLE, job

if TYPE_CHECKING:  # Snakemake puts the object here before the first line runs
    from gram.workflow import snakemake

with job(snakemake, NoSettings):
    prepare_tracking(os.environ[ADDRESS_VARIABLE])
    write_text(Path(snakemake.output.ready), "ready\n")
