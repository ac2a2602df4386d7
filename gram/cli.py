"""The command `gram`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gram.config import InputsConfig, ModelConfig
from gram.config.presets import PresetName
from gram.config.sources import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gram.fetch.report import Result

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_show_locals=False)

BERT_PIECES = 30522
"""Word pieces of bert-base-uncased."""


@app.callback()
def gram() -> None:
    """Align text, video, audio, subtitles and depth by volume, and search clips by it."""


@app.command()
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


@app.command()
def fetch(
    dataset: Annotated[
        str, typer.Argument(help="Data set as config/sources.yaml names it, or weights.")
    ],
    role: Annotated[
        Role | None, typer.Option(help="Only what has this role; without it, all.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder; each source gets one of its own in it.")] = Path(
        "data/sources"
    ),
    table: Annotated[Path, typer.Option(help="Table of sources.")] = Path("config/sources.yaml"),
) -> None:
    """Fetch the files of a data set, check them, and say what is to be done by hand.

    Exit status 1: something is not here. Example: gram fetch msrvtt --role annotations
    """
    from gram.fetch.plan import read_sources
    from gram.fetch.report import choose_sources, fetch_all

    console = Console()
    try:
        chosen = choose_sources(read_sources(table), dataset, role=role)
        results = []
        for result in fetch_all(chosen, to):
            console.print(f"{result.name}: {result.outcome}", highlight=False)
            results.append(result)
    except (ValueError, OSError) as error:
        console.print(f"[red]{escape(str(error))}[/red]", highlight=False)
        sys.exit(1)
    console.print(_results(dataset, results))
    for result in results:
        if result.is_missing:
            console.print(f"\n[bold]{result.name}[/bold]\n{escape(result.detail)}", highlight=False)
    if any(result.is_missing for result in results):
        sys.exit(1)


def _results(dataset: str, results: "Sequence[Result]") -> Table:
    """Make a table of what came, and of what is left to do."""
    table = Table(title=f"Files of {dataset}")
    for column in ("source", "role", "outcome", "where, or what to do"):
        table.add_column(column)
    for one in results:
        detail = "see below" if one.is_missing else one.detail
        table.add_row(one.name, one.role, one.outcome, escape(detail))
    return table


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


if __name__ == "__main__":
    app()
