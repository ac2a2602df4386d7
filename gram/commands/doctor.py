"""`gram doctor`: what this machine has, and what a model needs."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
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
) -> None:
    """Say what this machine has, and what would not work.

    Exit status 1: something would not work. Example: gram doctor --model paper
    """
    from gram.doctor import examine

    console = Console()
    findings = examine(Path.cwd())
    for finding in findings:
        console.print(f"[bold]{finding.what}[/bold]: {finding.found}", highlight=False)
        if finding.advice:
            console.print(f"  [red]{finding.advice}[/red]", highlight=False)
    if model is not None:
        console.print(_needs(model))
    if any(finding.advice for finding in findings):
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
