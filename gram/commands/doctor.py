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
        typer.Option(help="Also count the parameters of this preset, and what fits into GPUs."),
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
        config = ModelConfig(preset=model)
        inputs = _inputs_of(config)
        console.print(_parts(config, inputs))
        console.print(_memory(config, inputs))
    if not is_well:
        sys.exit(1)


def _parts(model: ModelConfig, inputs: InputsConfig) -> Table:
    """Make a table of the parameters of a preset's parts."""
    from gram.doctor import count_parameters

    counts = count_parameters(model, inputs, num_pieces=BERT_PIECES)
    total = sum(counts.values())
    table = Table(title=f"Model {model.preset}: {', '.join(model.modalities)}")
    table.add_column("part")
    table.add_column("parameters", justify="right")
    for part, count in counts.items():
        table.add_row(part, f"{count:,}")
    table.add_row("all", f"{total:,}", style="bold")
    table.caption = (
        f"Weights alone {4 * total / 2**30:.1f} GiB; with gradients and AdamW's moments "
        f"{16 * total / 2**30:.1f} GiB, single precision. Activations come on top."
    )
    return table


def _memory(model: ModelConfig, inputs: InputsConfig) -> Table:
    """Make a table of the clips whose graph fits into GPUs, in the usual ways to train."""
    from gram.doctor import BATCH_SIZE, GPU_GB, memory_of_cases

    table = Table(title=f"Clips of {BATCH_SIZE} a step whose graph fits at once (micro_batch)")
    table.add_column("GPUs, checkpoint_activations, shard_model")
    for name in ("least GB", *(f"{size} GB" for size in GPU_GB)):
        table.add_column(name, justify="right")
    for line in memory_of_cases(model, inputs, num_pieces=BERT_PIECES):
        case = line.case
        table.add_row(
            f"{case.processes}, {case.is_checkpointed:d}, {case.is_sharded:d}",
            f"{line.least_gb:.1f}",
            *(str(clips or "-") for clips in line.clips),
        )
    table.caption = (
        f"Computed, not measured: bf16, {inputs.train_frames} frames of {inputs.image_pixels} "
        f"pixels, all texts of full length, on each GPU."
    )
    return table


def _inputs_of(model: ModelConfig) -> InputsConfig:
    """Give the usual inputs, with texts that the model can read."""
    usual = InputsConfig()
    return usual.model_copy(
        update={
            name: min(getattr(usual, name), model.text.positions)
            for name in ("caption_tokens", "subtitle_tokens")
        }
    )
