"""`gram table`: a table of the scores that are there, whatever is missing."""

from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console


def table(
    name: Annotated[str, typer.Argument(help="Name of a table in the settings.")],
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", help="Settings, later ones over earlier ones."),
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"),
    references: Annotated[Path, typer.Option(help="Published numbers.")] = Path(
        "config/paper_scores.csv"
    ),
) -> None:
    """Make a table of what has been scored so far; lines without scores say what is missing.

    It is written to RESULTS/tables/partial/NAME.csv, .md and .tex, beside those of the workflow.
    Example: gram table zero_shot --config config/config.yaml
    """
    from gram.config import Config, describe_problems, merged
    from gram.evaluation.references import read_references
    from gram.evaluation.tables import make_table
    from gram.tracking import Tracker

    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    csv = results / "tables" / "partial" / f"{name}.csv"
    try:
        whole: dict[str, object] = {}
        for path in config or [Path("config/config.yaml")]:
            whole = merged(whole, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        settings = Config.model_validate(whole)
        if name not in settings.tables:
            known = ", ".join(sorted(settings.tables))
            raise ValueError(f"no table is named {name!r} in the settings; there are {known}")
        rows = settings.tables[name].rows
        files = [
            results / "scores" / run / f"{row.benchmark}.json" for row in rows for run in row.runs
        ]
        make_table(
            settings.tables[name],
            scores=[path for path in dict.fromkeys(files) if path.is_file()],
            references=read_references(references),
            csv=csv,
            tracker=Tracker(),
            is_partial=True,
        )
    except ValidationError as error:
        errors.print(describe_problems(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    except (ValueError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    text = csv.with_suffix(".md").read_text(encoding="utf-8")
    console.print(text, markup=False, highlight=False)
