"""The report: one folder that opens offline, with tables, figures, retrieval pages and origins."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from markupsafe import Markup

import gram
from gram.config import TableConfig, TableRow
from gram.evaluation.account import SplitAccount, account_as_csv, account_dataset
from gram.evaluation.figures import draw_losses, draw_steps
from gram.evaluation.origins import DatasetFacts, describe_dataset
from gram.evaluation.results import BenchmarkScores
from gram.evaluation.table_notes import chance_percent, index_results, table_warnings
from gram.files import atomic_path, write_text
from gram.jobs import ReportSettings
from gram.report.files import group_files
from gram.report.html import asset, environment, inline, policy
from gram.report.made_by import Training, read_trainings, versions_text
from gram.report.tables import MARKS, show_table
from gram.rule_graph import draw_graph, read_graph
from gram.versions import commit

log = logging.getLogger(__name__)

Results = Mapping[tuple[str, str], BenchmarkScores]
"""Scores of each (run, benchmark)."""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """What the report is made of.

    Attributes:
        tables: CSV files that ``make_table`` wrote, named as the tables, in order; beside each the
            same table as Markdown and LaTeX.
        histories: Training histories: ``pretrained/<run>/history.csv`` or
            ``finetuned/<run>/<benchmark>/history.csv``.
        descriptions: ``last.json`` beside each checkpoint that the lines go back to.
        scores: The scores files of all lines of the tables, and of the line shown in detail, which
            need not stand in a table.
        indexes: Shards indexes ``<data set>/index.parquet``, with their manifests beside them, of
            all data sets that the lines use.
        pages: Retrieval pages ``<run>/<benchmark>.html``, below the folder of the report.
        figures: Files of figures: those of one name are one figure in several forms.
        rules: The rules of the workflow, as it wrote them when it started.
    """

    tables: Sequence[Path]
    histories: Sequence[Path]
    descriptions: Sequence[Path]
    scores: Sequence[Path]
    indexes: Sequence[Path]
    pages: Sequence[Path]
    figures: Sequence[Path]
    rules: Path


@dataclass(frozen=True, kw_only=True)
class ShownFigure:
    """One figure of the page: heading, sentence below it, and the SVG."""

    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True, kw_only=True)
class ShownDataset:
    """What became of the clips of one data set: as facts, step by step, and as a figure."""

    facts: DatasetFacts
    splits: tuple[SplitAccount, ...]
    figure: ShownFigure


@dataclass(frozen=True, kw_only=True)
class ShownPage:
    """A retrieval page: where it lies in the folder, what it is of, how large it is."""

    address: str
    result: BenchmarkScores
    scores: tuple[str, ...]
    kib: float


def make_report(settings: ReportSettings, inputs: ReportInputs, *, output: Path) -> None:
    """Write the report: one page to open, and beside it all that it leads to.

    Beside the page lie ``tables/`` (CSV, Markdown, LaTeX), ``figures/``, ``account.csv``,
    ``config.yaml`` (the settings behind the lines, which a start can read), ``versions.txt``
    (commit and packages) and ``rules.svg``. The retrieval pages are there already. All addresses
    are relative, so that the folder can be moved or sent.

    Args:
        settings: The tables by name, the line that is shown in detail, the resolved settings.
        inputs: What it is made of.
        output: The page, ``index.html``, in the folder of the report.

    Raises:
        ValueError: If an input lacks what the page needs.
    """
    folder = output.parent
    results = index_results(inputs.scores)
    configs = [settings.tables[path.stem] for path in inputs.tables]
    index = {path.parent.name: path for path in inputs.indexes}
    datasets = [_shown_dataset(name, path, settings) for name, path in index.items()]
    rules = draw_graph(read_graph(inputs.rules))
    trainings = read_trainings(inputs.descriptions)
    html = _render(
        settings,
        inputs,
        results=results,
        datasets=datasets,
        rules=rules,
        trainings=trainings,
        folder=folder,
    )
    for path in inputs.tables:
        for one in (path, path.with_suffix(".md"), path.with_suffix(".tex")):
            _copy(one, folder / "tables" / one.name)
    for path in inputs.figures:
        _copy(path, folder / "figures" / path.name)
    account = account_as_csv(split for shown in datasets for split in shown.splits)
    write_text(folder / "account.csv", account)
    write_text(folder / "config.yaml", _config_text(settings))
    write_text(folder / "versions.txt", versions_text())
    write_text(folder / "rules.svg", rules)
    write_text(output, html)
    log.info("%s: %d tables, %d pages", output, len(configs), len(inputs.pages))


def _render(
    settings: ReportSettings,
    inputs: ReportInputs,
    *,
    results: Results,
    datasets: Sequence[ShownDataset],
    rules: str,
    trainings: Sequence[Training],
    folder: Path,
) -> str:
    """Write the page."""
    row = settings.showcase
    configs = [settings.tables[path.stem] for path in inputs.tables]
    detail = TableConfig(title="In detail", rows=(row,))
    warnings = [
        text for config in (*configs, detail) for text in table_warnings(config, results=results)
    ]
    style = "\n".join([asset("base.css"), asset("report.css")])
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            version=gram.__version__,
            commit=commit(),
            style=inline(style),
            policy=policy(style=style),
            warnings=list(dict.fromkeys(warnings)),
            showcase=row,
            headline=_headline(row, results=results),
            tables=[
                show_table(config, path, results)
                for config, path in zip(configs, inputs.tables, strict=True)
            ],
            marks=MARKS,
            figures=_loss_figures(inputs.histories),
            figure_files=group_files(inputs.figures),
            pages=[_shown_page(path, settings, results, folder=folder) for path in inputs.pages],
            report=settings.report,
            results=list(results.values()),
            trainings=trainings,
            datasets=datasets,
            rules=Markup(rules),  # noqa: S704 - ours, with every name in it escaped
        )
    )


def _shown_page(
    path: Path, settings: ReportSettings, results: Results, *, folder: Path
) -> ShownPage:
    run, benchmark = path.parent.name, path.stem
    rows = [row for table in settings.tables.values() for row in table.rows]
    scores = [
        row.score
        for row in (*rows, settings.showcase)
        if run in row.runs and row.benchmark == benchmark
    ]
    return ShownPage(
        address=path.relative_to(folder).as_posix(),
        result=results[run, benchmark],
        scores=tuple(dict.fromkeys(scores)),
        kib=path.stat().st_size / 2**10,
    )


def _config_text(settings: ReportSettings) -> str:
    head = (
        "# The settings that the lines of this report go back to, files merged and defaults filled "
        "in.\n# A start reads them: snakemake --configfile THIS_FILE\n"
    )
    return head + yaml.safe_dump(settings.resolved, sort_keys=False, allow_unicode=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _headline(row: TableRow, *, results: Results) -> list[tuple[str, str, str]]:
    """Give the numbers that a reader asks for first: value, what it is, what to compare it with."""
    result = results[row.run, row.benchmark]
    score = result.scores[row.score]
    recall = next(name for name in score.text_to_item if name.startswith("R@"))
    k = int(recall.removeprefix("R@"))
    chance = f"{chance_percent(result.gallery, k=k)} % by chance"
    return [
        (f"{score.text_to_item[recall]:.1f} %", f"{recall}, text to clip", chance),
        (f"{score.item_to_text[recall]:.1f} %", f"{recall}, clip to text", chance),
        (f"{score.text_to_item['median_rank']:g}", "median rank", f"of {result.gallery} clips"),
        (str(result.gallery), "clips ranked", f"for {result.queries} queries"),
    ]


def _shown_dataset(name: str, index: Path, settings: ReportSettings) -> ShownDataset:
    splits = account_dataset(name, index=index, uses=settings.uses)
    return ShownDataset(
        facts=describe_dataset(name, manifest=index.with_name("manifest.json")),
        splits=tuple(splits),
        figure=_account_figure(name, splits),
    )


def _account_figure(name: str, splits: Sequence[SplitAccount]) -> ShownFigure:
    caption = (
        "Each modality is counted of the readable clips; uses, below them, of all that are listed."
    )
    steps = {one.split: [(step.label, step.clips) for step in one.shown] for one in splits}
    title = f"Clips of {name}, step by step"
    return _figure(title, caption, draw_steps(steps, title=title))


def _loss_figures(histories: Sequence[Path]) -> list[ShownFigure]:
    """Draw one figure for each pass of training, all runs in it."""
    passes: dict[str, dict[str, pd.DataFrame]] = {}
    for path in histories:
        run = path.parent.name
        kind = "Pretraining"
        if path.parents[2].name == "finetuned":
            kind, run = f"Finetuning for {run}", path.parents[1].name
        passes.setdefault(kind, {})[run] = pd.read_csv(path)
    return [
        _figure(kind, "Losses over the optimizer steps; small is good.", draw_losses(of_runs))
        for kind, of_runs in passes.items()
    ]


def _figure(title: str, caption: str, svg: str) -> ShownFigure:
    # The SVG is ours, with every label in it escaped by Matplotlib.
    return ShownFigure(title=title, caption=caption, svg=Markup(svg))  # noqa: S704
