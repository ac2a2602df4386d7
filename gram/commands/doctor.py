"""`gram doctor`: what this machine has, and what a model needs."""

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gram.config import InputsConfig, ModelConfig
from gram.config.presets import PresetName

BERT_PIECES = 30522
"""Word pieces of bert-base-uncased."""


def doctor(
    model: Annotated[
        PresetName | None,
        typer.Option(help="Also count the parameters of this preset, and the memory they need."),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(help="Also hold this Snakemake profile against the Slurm cluster."),
    ] = None,
) -> None:
    """Say what this machine has, and what would not work.

    Exit status 1: something would not work. Examples: gram doctor --model paper;
    gram doctor --profile slurm, on a login node, which starts a short job there.
    """
    from gram.cluster import examine_cluster
    from gram.doctor import examine

    console = Console(highlight=False)
    is_well = True
    try:
        for finding in chain(examine(Path.cwd()), examine_cluster(profile) if profile else ()):
            is_well &= not finding.advice
            console.print(f"[bold]{escape(finding.what)}[/bold]: {escape(finding.found)}")
            if finding.advice:
                console.print(f"  [red]{escape(finding.advice)}[/red]")
    except ValueError as error:
        sys.exit(str(error))
    if model is not None:
        console.print(_needs(model))
    if not is_well:
        sys.exit(1)


def _needs(preset: PresetName) -> Table:
    """Make a table of the parameters of a preset's parts."""
    from gram.doctor import count_parameters, training_bytes

    config = ModelConfig(preset=preset)
    counts = count_parameters(config, InputsConfig(), num_pieces=BERT_PIECES)
    total = sum(counts.values())
    table = Table(title=f"Model {preset}: {', '.join(config.modalities)}")
    table.add_column("part")
    table.add_column("parameters", justify="right")
    for part, count in counts.items():
        table.add_row(part, f"{count:,}")
    table.add_row("all", f"{total:,}", style="bold")
    table.caption = (
        f"Weights alone {4 * total / 2**30:.1f} GiB; with gradients and AdamW's moments "
        f"{training_bytes(total) / 2**30:.1f} GiB, single precision. Activations come on top."
    )
    return table
