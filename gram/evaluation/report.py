"""The report: one HTML page that opens offline, with tables, figures, queries and origins."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

import gram
from gram.config import TableConfig, TableRow
from gram.evaluation.account import SplitAccount, account_as_csv, account_dataset
from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings
from gram.evaluation.figures import (
    RecallBar,
    draw_losses,
    draw_recalls,
    draw_steps,
    draw_volumes,
)
from gram.evaluation.origins import DatasetFacts, describe_dataset
from gram.evaluation.protocol import choose
from gram.evaluation.results import BenchmarkScores
from gram.evaluation.showcase import pair_volumes, show_queries
from gram.evaluation.table_notes import (
    chance_percent,
    index_results,
    table_notes,
    table_warnings,
)
from gram.evaluation.tables import DIRECTIONS, NAMES
from gram.files import write_text
from gram.jobs import ReportSettings

log = logging.getLogger(__name__)

RECALL = re.compile(rf"({'|'.join(DIRECTIONS)})_R@\d+")
"""A column of a table that holds recalls."""

Results = Mapping[tuple[str, str], BenchmarkScores]
"""Scores of each (run, benchmark)."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recall of a table in percent, and whether it is the best that can be compared with it.

    Attributes:
        text: The recall.
        beside: Its 95 % interval, in brackets, or its spread over seeds.
        is_best: Whether it is the best.
    """

    text: str
    beside: str
    is_best: bool


@dataclass(frozen=True, kw_only=True)
class ShownLine:
    """One line of a table: texts, recalls, and the numbers of clips and queries."""

    names: tuple[str, ...]
    recalls: tuple[Cell, ...]
    counts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """One table of the page.

    Attributes:
        title: Its heading.
        cutoffs: The recalls, ``R@1`` and so on, that stand in each direction.
        lines: Its lines.
        notes: What stands below.
    """

    title: str
    cutoffs: tuple[str, ...]
    lines: tuple[ShownLine, ...]
    notes: tuple[str, ...]


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


def make_report(
    settings: ReportSettings,
    *,
    tables: Sequence[Path],
    histories: Sequence[Path],
    scores: Sequence[Path],
    embeddings: Path,
    indexes: Sequence[Path],
    output: Path,
) -> None:
    """Write the report as one HTML page without any link to the outside, and ``account.csv``.

    Args:
        settings: How much is shown, the tables by name, and the line that is shown in detail.
        tables: CSV files that ``make_table`` wrote, named as the tables, in order.
        histories: Training histories: ``pretrained/<run>/history.csv`` or
            ``finetuned/<run>/<benchmark>/history.csv``.
        scores: The scores files of all lines of the tables, and of the line shown in detail, which
            need not stand in a table.
        embeddings: Folder with the embeddings of the line that is shown in detail.
        indexes: Shards indexes ``<data set>/index.parquet``, with their manifests beside them, of
            all data sets that the lines use.
        output: The page. The account of clips stands beside it, one line a step of each split.

    Raises:
        ValueError: If an input lacks what the page needs.
    """
    results = index_results(scores)
    configs = [settings.tables[path.stem] for path in tables]
    row = settings.showcase
    embedded = choose(load_embeddings(embeddings), settings.showcase_protocol).embeddings
    detail = TableConfig(title="In detail", rows=(row,))
    warnings = [
        text for config in (*configs, detail) for text in table_warnings(config, results=results)
    ]
    index = {path.parent.name: path for path in indexes}
    queries = show_queries(
        embedded, score=row.score, settings=settings.report, index=index[embedded.dataset]
    )
    datasets = [_shown_dataset(name, path, settings) for name, path in index.items()]
    html = _page().render(
        version=gram.__version__,
        warnings=list(dict.fromkeys(warnings)),
        showcase=row,
        headline=_headline(row, results=results),
        tables=list(map(_shown_table, configs, tables, repeat(results))),
        figures=_figures(configs, results=results, embedded=embedded, histories=histories),
        queries=queries,
        total_queries=len(embedded.queries),
        gallery=len(embedded.clip_ids),
        results=list(results.values()),
        datasets=datasets,
    )
    write_text(output, html)
    account = account_as_csv(split for shown in datasets for split in shown.splits)
    write_text(output.with_name("account.csv"), account)
    log.info("%s: %d tables, %d queries shown", output, len(tables), len(queries))


def _figures(
    configs: Sequence[TableConfig],
    *,
    results: Results,
    embedded: BenchmarkEmbeddings,
    histories: Sequence[Path],
) -> list[ShownFigure]:
    return [
        *_recall_figures(configs, results=results),
        _volume_figure(embedded),
        *_loss_figures(histories),
    ]


def _page() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


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


def _shown_table(config: TableConfig, csv: Path, results: Results) -> ShownTable:
    """Read the table as it was made; mark the best recalls among lines of one gallery."""
    table = pd.read_csv(csv, dtype=dict.fromkeys(NAMES, str), keep_default_na=False)
    recalls = [name for name in table.columns if RECALL.fullmatch(name)]
    shown = table[recalls].round(1)
    galleries = table.groupby(["benchmark", "gallery"])
    is_best = shown.eq(shown.groupby([table["benchmark"], table["gallery"]]).transform("max"))
    is_best &= galleries["label"].transform("size").gt(1).to_numpy()[:, None]
    lines = tuple(
        ShownLine(
            names=tuple(table.loc[i, list(NAMES)]),
            recalls=tuple(
                Cell(
                    text=f"{shown.loc[i, name]:.1f}",
                    beside=_beside(table, i, name),
                    is_best=bool(is_best.loc[i, name]),
                )
                for name in recalls
            ),
            counts=tuple(str(table.loc[i, name]) for name in ("gallery", "queries")),
        )
        for i in table.index
    )
    cutoffs = tuple(name.rpartition("_")[2] for name in recalls[: len(recalls) // len(DIRECTIONS)])
    notes = tuple(table_notes(config, results=results))
    return ShownTable(title=config.title, cutoffs=cutoffs, lines=lines, notes=notes)


def _beside(table: pd.DataFrame, line: int, recall: str) -> str:
    """Give what stands below a recall: its interval, or its spread where it is of several seeds."""
    cells = (str(table.loc[line, f"{recall}_{what}"]) for what in ("low", "high", "spread"))
    low, high, spread = cells
    if spread:
        return f"± {float(spread):.1f}"
    return f"({float(low):.1f} to {float(high):.1f})"


def _recall_figures(configs: Sequence[TableConfig], *, results: Results) -> list[ShownFigure]:
    """Draw recall by modalities for each benchmark where lines by volume have different ones."""
    rows = [row for config in configs for row in config.rows if row.score == "volume"]
    figures = []
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        runs = dict.fromkeys(run for row in rows if row.benchmark == benchmark for run in row.runs)
        ranked = [results[run, benchmark] for run in runs]
        if len({result.modalities for result in ranked}) < 2:
            continue
        ranked.sort(key=lambda result: len(result.modalities))
        title = f"Recall by modalities, {benchmark}"
        recalls = [result.scores["volume"].text_to_item for result in ranked]
        cutoffs = _first_and_tenth(recalls)
        if not cutoffs:
            caption = "Left out: its runs have no cut-off in common (evaluation.recall_at)."
            figures.append(_figure(title, caption, ""))
            continue
        bars = [
            RecallBar(
                label=f"{result.letters}  ({result.run})",
                recalls={name: values[name] for name in cutoffs},
            )
            for result, values in zip(ranked, recalls, strict=True)
        ]
        caption = (
            "Text to clip, ranked by volume. T text, V video, A audio, S subtitles, D depth; each "
            "line is a run of its own, trained on these modalities."
        )
        figures.append(_figure(title, caption, draw_recalls(bars, title=title)))
    return figures


def _first_and_tenth(recalls: Sequence[Mapping[str, float]]) -> list[str]:
    """Name R@1 and R@10, or else the smallest and the largest cut-off that all runs have."""
    common = set.intersection(*(set(values) for values in recalls))
    cutoffs = sorted((name for name in common if name.startswith("R@")), key=lambda x: int(x[2:]))
    usual = [name for name in cutoffs if name in {"R@1", "R@10"}]
    return usual or list(dict.fromkeys([*cutoffs[:1], *cutoffs[-1:]]))


def _volume_figure(embedded: BenchmarkEmbeddings) -> ShownFigure:
    matched, unmatched = pair_volumes(embedded)
    caption = (
        f"{embedded.run} on {embedded.benchmark}: {len(matched):,} captions with their own clip, "
        f"{len(unmatched):,} pairings with another. Training makes the volume of right pairs "
        "small; the less the two overlap, the better the retrieval. Dashed: means."
    )
    return _figure("Volumes of right and wrong pairs", caption, draw_volumes(matched, unmatched))


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
