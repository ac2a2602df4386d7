"""`gram fetch`: files of others, without the workflow."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gram.config.sources import Role

if TYPE_CHECKING:
    from gram.fetch.report import Result


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


def _results(dataset: str, results: Sequence["Result"]) -> Table:
    """Make a table of what came, and of what is left to do."""
    table = Table(title=f"Files of {dataset}")
    for column in ("source", "role", "outcome", "where, or what to do"):
        table.add_column(column)
    for one in results:
        detail = "see below" if one.is_missing else one.detail
        table.add_row(one.name, one.role, one.outcome, escape(detail))
    return table
