"""`gram shards`: what became of the shards of a data set."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gram.progress import track

app = typer.Typer(no_args_is_help=True, help="Shards of a data set.")


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(help="Folder with manifest.json, such as results/shards/NAME.")
    ],
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Remove damaged files and what leads to them: the workflow makes them again.",
        ),
    ] = False,
) -> None:
    """Compare shards and indexes of a data set with its manifest, and list what is not as it was.

    Exit status 0: all are as they were packed, and there is no other; 1: some are damaged or
    missing, or there are others; 2: it could not be found out.
    Example: gram shards verify results/shards/msrvtt
    """
    from gram.data import manifest
    from gram.data.tars import remedy

    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        shards, indexes = manifest.read_manifest(folder)
        number = len(shards) + len(indexes)
        label = f"verifying {folder}"
        found = track(manifest.verify(folder), total=number, label=label, unit="files")
        wrong = [finding for finding in found if finding.problem is not None]
        extra = manifest.extra_files(folder)
    except (ValueError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    for finding in wrong:
        console.print(f"{finding.file} {finding.problem}", markup=False, highlight=False)
    for path in extra:
        console.print(f"{path} is not in the manifest", markup=False, highlight=False)
    removed = manifest.discard([finding.file for finding in wrong]) if discard else []
    for path in removed:
        console.print(f"removed {path}", markup=False, highlight=False)
    console.print(
        f"{len(shards)} shards and {len(indexes)} indexes: {number - len(wrong)} whole, "
        f"{len(wrong)} damaged or missing; {len(extra)} others",
        highlight=False,
    )
    if wrong:
        again = "run the workflow: it makes them anew" if discard else remedy(folder)
        console.print(again, markup=False, highlight=False)
    if wrong or extra:
        raise typer.Exit(1)
