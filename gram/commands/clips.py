"""`gram clips`: annotation files to a table of clips, by hand."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gram.config.data import FormatName

if TYPE_CHECKING:
    from gram.data.annotations import SplitAccount


def clips(
    out: Annotated[Path, typer.Option(help="The table of clips to write, a parquet file.")],
    annotations: Annotated[
        list[str], typer.Option(help="An annotation file, or SPLIT=FILE; may be given repeatedly.")
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="More annotation files.")
    ] = None,
    benchmark: Annotated[
        FormatName, typer.Option(help="Whose annotations these are; own: JSON or CSV of own clips.")
    ] = "own",
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of files given without one; by default what their names tell, or test; of "
            "own clips each its own."
        ),
    ] = None,
) -> None:
    """Read annotations into one table of clips, as the workflow does, and say what was left out.

    Exit status 1: a file cannot be used.

    Example: gram clips --benchmark vatex --out clips.parquet
    --annotations vatex_validation_v1.0.json test_list.txt
    """
    from gram.data.annotations import make_clips

    console = Console()
    files = [_of_split(name, split) for name in (*annotations, *(more or ()))]
    try:
        accounts = make_clips(files, out, format_name=benchmark)
    except (ValueError, OSError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)
    console.print(_counts(accounts))
    for account in accounts:
        for form in account.forms:
            _say(console, f"{account.split}: read {form}")
        for cause, count in account.left_out.items():
            _say(console, f"{account.split}: left out {count:,} {cause}")
        for what, count in account.noted.items():
            _say(console, f"{account.split}: note {count:,} {what}")
    _say(console, f"written: {out}")


def _say(console: Console, text: str) -> None:
    """Print one line as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _of_split(name: str, split: str | None) -> tuple[str | None, Path]:
    """Take SPLIT=FILE apart; a name without a split, or of a file that is there, is a file."""
    before, sign, file = name.partition("=")
    has_split = bool(sign) and not Path(name).exists()
    return (before, Path(file)) if has_split else (split, Path(name))


def _counts(accounts: Sequence["SplitAccount"]) -> Table:
    """Make a table of the counts of each split."""
    table = Table("split", title="Clips")
    for column in ("clips", "captions", "with subtitle"):
        table.add_column(column, justify="right")
    for account in accounts:
        counts = (account.clips, account.captions, account.subtitles)
        table.add_row(escape(account.split), *(f"{count:,}" for count in counts))
    return table
