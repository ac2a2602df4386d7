"""`gram compare`: which of some media files fits which text."""

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from torch import Tensor

    from gram.embedding import Embedded

SMALL = ("volume", "residual")
"""Scores of which the smallest is nearest; of the others, cosines, it is the largest."""


def compare(
    media: Annotated[list[Path], typer.Argument(help="Media files: films, sounds, pictures.")],
    text: Annotated[list[str], typer.Option(help="A text; may be given repeatedly.")],
    model: Annotated[
        Path, typer.Option(envvar="GRAM_MODEL", help="Checkpoint, a last.safetensors.")
    ],
    frames: Annotated[int, typer.Option(min=1, help="Frames taken of each film.")] = 8,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode at a time.")] = 2,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare texts with media files: volume, residual and the cosine to each modality.

    A subtitle file (a.vtt, a.srt, a.txt beside a.mp4) and depth maps (a.depth.npy) are taken up.

    Exit status 1: a file cannot be used; what could be is printed all the same.

    Example: gram compare --model last.safetensors --text "a dog howls" --text "rain" a.mp4 b.mp4
    """
    from gram.model import GramModel

    errors = Console(stderr=True)
    try:
        embedded = (
            GramModel.load(model)
            .to(device)
            .embed(text=text, media=media, frames=frames, workers=workers)
        )
    except (ValueError, OSError, RuntimeError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    scores = _scores(embedded)
    if as_json:
        typer.echo(json.dumps(_as_json(embedded, scores), ensure_ascii=False, indent=1))
    elif scores:
        Console().print(_table(scores, embedded))
    unused = [file for file in embedded.files if file.reason is not None]
    for file in unused:
        errors.print(f"{file.path}: {file.reason}", markup=False, highlight=False, soft_wrap=True)
    if unused:
        sys.exit(1)


def _scores(embedded: "Embedded") -> dict[str, "Tensor"]:
    """Give each score of texts and files, shape (N, M), by name."""
    if not embedded.used:
        return {}
    cosines = {f"cosine {name}": embedded.cosine(name) for name in embedded.modalities}
    return {"volume": embedded.volume(), "residual": embedded.residual(), **cosines}


def _as_json(embedded: "Embedded", scores: dict[str, "Tensor"]) -> dict[str, Any]:
    """Give what was compared; a cosine to a missing modality is null."""
    return {
        "texts": list(embedded.texts),
        "files": [
            {"path": str(one.path), "modalities": list(one.present), "reason": one.reason}
            for one in embedded.files
        ],
        "columns": [str(one.path) for one in embedded.used],
        "scores": {
            name: {
                "near_is": "small" if name in SMALL else "large",
                "values": [
                    [None if math.isnan(one) else one for one in row] for row in score.tolist()
                ],
            }
            for name, score in scores.items()
        },
    }


def _table(scores: dict[str, "Tensor"], embedded: "Embedded") -> Table:
    """Make one table: of each text a line a file, the nearest by each score in bold."""
    names = [name for name, score_nm in scores.items() if not score_nm.isnan().all()]
    table = Table("text", "file", "has", caption="volume, residual: small is near; cosine: large")
    for name in names:
        table.add_column(name, justify="right")
    for i, text in enumerate(embedded.texts):
        best = {name: _nearest(name, scores[name][i]) for name in names}
        for j, file in enumerate(embedded.used):
            cells = [_cell(float(scores[name][i, j]), is_best=best[name] == j) for name in names]
            has = "".join(one[0] for one in file.present).upper()
            table.add_row("" if j else escape(text), escape(file.path.name), has, *cells)
        table.add_section()
    return table


def _nearest(name: str, score_m: "Tensor") -> int:
    """Give the column of the nearest file; that of a missing modality never is."""
    distance_m = score_m if name in SMALL else -score_m
    return int(distance_m.nan_to_num(nan=float("inf")).argmin())


def _cell(score: float, *, is_best: bool) -> str:
    if math.isnan(score):
        return "-"
    return f"[bold]{score:.3f}[/]" if is_best else f"{score:.3f}"
