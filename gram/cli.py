"""The command `gram`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gram.config import InputsConfig, ModelConfig
from gram.config.data import FormatName
from gram.config.presets import PresetName
from gram.progress import track

if TYPE_CHECKING:
    from gram.data.annotations import SplitAccount

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_show_locals=False)

shards_app = typer.Typer(no_args_is_help=True, help="Shards of a data set.")
app.add_typer(shards_app, name="shards")

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
            help="Split of files given without one; by default test, or of own clips each its own."
        ),
    ] = None,
) -> None:
    """Read annotations into one table of clips, as the workflow does, and say what was left out.

    Exit status 1: a file cannot be used.

    Example: gram clips --benchmark vatex --out clips.parquet
    --annotations vatex_validation_v1.0.json test_list.txt
    """
    from gram.data.annotations import OWN, make_clips

    console = Console()
    of_others = split or (None if benchmark == OWN else "test")
    files = [_of_split(name, of_others) for name in (*annotations, *(more or ()))]
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


@shards_app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(help="Folder with manifest.json, such as results/shards/NAME.")
    ],
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Remove damaged shards and what leads to them: the workflow packs them again.",
        ),
    ] = False,
) -> None:
    """Compare every shard of a data set with its manifest, and list what is not as it should be.

    Exit status 0: all are as they were packed, and there is no other; 1: some are damaged or
    missing, or there are others; 2: it could not be found out.
    Example: gram shards verify results/shards/msrvtt
    """
    from gram.data import manifest
    from gram.data.tars import remedy

    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        num_shards = len(manifest.read_manifest(folder))
        label = f"verifying {folder}"
        found = track(manifest.verify_shards(folder), total=num_shards, label=label, unit="shards")
        wrong = [finding for finding in found if finding.problem is not None]
        extra = manifest.extra_shards(folder)
    except (ValueError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    for finding in wrong:
        console.print(f"{finding.shard} {finding.problem}", markup=False, highlight=False)
    for path in extra:
        console.print(f"{path} is not in the manifest", markup=False, highlight=False)
    removed = manifest.discard([finding.shard for finding in wrong]) if discard else []
    for path in removed:
        console.print(f"removed {path}", markup=False, highlight=False)
    console.print(
        f"{num_shards} shards: {num_shards - len(wrong)} whole, {len(wrong)} damaged or missing; "
        f"{len(extra)} others",
        highlight=False,
    )
    if wrong:
        again = "run the workflow: it packs them anew" if discard else remedy(folder)
        console.print(again, markup=False, highlight=False)
    if wrong or extra:
        raise typer.Exit(1)


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
