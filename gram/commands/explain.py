"""`gram explain`: where a number of a table comes from."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def explain(
    table: Annotated[Path, typer.Argument(help="results/tables/NAME.csv")],
    cell: Annotated[
        str,
        typer.Option(
            help="LINE,COLUMN: the line's label or number, and a column of the CSV, such as "
            "'1,text_to_item_R@1', '1,text_to_item_R@1_paper' or '1,gallery'."
        ),
    ],
    references: Annotated[Path, typer.Option(help="Published numbers.")] = Path(
        "config/paper_scores.csv"
    ),
) -> None:
    """Say how one number came about: run, checkpoint, settings, clips, score, protocol, command.

    Of a cell that is empty it says what is missing, and what makes it.

    Exit status 2: there is no such cell, or what it was made of is gone.
    Example: gram explain results/tables/demo.csv --cell "volume TVA,text_to_item_R@1"
    """
    from gram.evaluation.explain import explain_cell
    from gram.evaluation.references import read_references

    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        parts = explain_cell(table, cell, references=read_references(references))
    except (ValueError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    width = max(len(name) for name, _ in parts)
    for name, text in parts:
        console.print(f"{name.ljust(width)}  {text}", markup=False, highlight=False)
