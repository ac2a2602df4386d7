"""Where a number of a table comes from: run, checkpoint, settings, clips, score, protocol, command.

All of it is read from files of the workflow beside the table; nothing is computed anew.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from gram.evaluation.results import BenchmarkScores, FitRecord, ScoreResult, read_scores
from gram.evaluation.tables import DIRECTIONS

Row = Mapping[str, str]


def explain_cell(table: Path, cell: str) -> list[tuple[str, str]]:
    """Say how one number of a table came about.

    Args:
        table: CSV of the table, ``results/tables/NAME.csv``; the scores are looked for beside it.
        cell: Line and column, split at the last comma. The line is its label, or its number from
            1 on; the column is that of the CSV (``text_to_item_R@1``) or as a reader sees it
            (``T→item R@1``).

    Returns:
        What is said, and the name of each part, in order.

    Raises:
        ValueError: If there is no such table, line or column, or a file it was made of is gone.

    """
    rows = _read(table)
    row, column = _find(rows, cell)
    direction = next(name for name in DIRECTIONS if column.startswith(name))
    metric = column.removeprefix(f"{direction}_")
    files = _score_files(table, row, column=column)
    results = [read_scores(path) for path in files]
    for path, result in zip(files, results, strict=True):
        if row["score"] not in result.scores:
            raise ValueError(
                f"{path} has no score {row['score']!r} any more; make the table again: "
                f"`snakemake {table.as_posix()}`"
            )
    scores = [result.scores[row["score"]] for result in results]
    values: list[float] = [getattr(score, direction)[metric] for score in scores]
    if abs(mean(values) - float(row[column])) > 1e-3:
        raise ValueError(
            f"{', '.join(map(str, files))} says {mean(values):.4f} now, and the table "
            f"{row[column]}: it was made of older scores; make it again: "
            f"`snakemake {table.as_posix()}`"
        )
    numbers = [
        _number(value, score=score, direction=direction, metric=metric)
        for value, score in zip(values, scores, strict=True)
    ]
    several = len(files) > 1
    spread = f"{row[column]} %, mean; {row[f'{column}_spread']} points, standard deviation"
    found = [("number", spread if several else numbers[0]), ("published", _published(row, column))]
    for path, result, number in zip(files, results, numbers, strict=True):
        found += [(f"number of {result.run}", number)] if several else []
        told = _origin(table.parents[2], row, result, path=path)
        found += [(f"{what} of {result.run}" if several else what, text) for what, text in told]
    return [*found, ("command", _command(row))]


def _score_files(table: Path, row: Row, *, column: str) -> list[Path]:
    """Give the scores files of the runs of a line."""
    folder = table.parents[1] / "scores"
    files = [folder / run / f"{row['benchmark']}.json" for run in row["runs"].split()]
    gone = [path for path in files if not path.is_file()]
    if not row[column] or gone:
        raise ValueError(
            f"the line {row['label']!r} has no number in {column}, or "
            f"{', '.join(map(str, gone or files))} is gone; `{_command(row)}` makes it"
        )
    return files


def _origin(root: Path, row: Row, result: BenchmarkScores, *, path: Path) -> list[tuple[str, str]]:
    """Say how the score of one run came about."""
    return [
        ("run", _run(result)),
        ("checkpoint", f"{result.origin.checkpoint}, sha256 {result.origin.checkpoint_sha256}"),
        *_training(root, result),
        ("protocol", _plain(result.protocol.model_dump(mode="json"))),
        ("evaluation", _plain(result.evaluation.model_dump(mode="json"))),
        ("clips", _clips(result, scores=path)),
        ("score", _score(row["score"], result.scores[row["score"]])),
        ("index of the shards", f"sha256 {result.origin.index_sha256}"),
        ("places of all queries", str(path.with_suffix(".parquet"))),
    ]


def _read(table: Path) -> list[Row]:
    if not table.is_file():
        raise ValueError(
            f"no table at {table}; give results/tables/NAME.csv, and run `snakemake NAME` if it is "
            "not made yet"
        )
    with table.open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    if not rows or not {"label", "runs", "benchmark", "score"} <= rows[0].keys():
        raise ValueError(
            f"{table} is no table of this project, or of an older one; give "
            "results/tables/NAME.csv, made anew by `snakemake NAME`"
        )
    return rows


def _find(rows: list[Row], cell: str) -> tuple[Row, str]:
    """Find the line and the column that are meant."""
    line, comma, column = cell.rpartition(",")
    line, column = line.strip(), column.strip()
    found = [row for row in rows if row["label"] == line]
    if not found and line.isdecimal() and 1 <= int(line) <= len(rows):
        found = [rows[int(line) - 1]]
    if not comma or len(found) != 1:
        labels = "; ".join(f"{number} {row['label']}" for number, row in enumerate(rows, start=1))
        raise ValueError(
            f"the cell {cell!r} names {len(found)} lines of the table; write LINE,COLUMN with one "
            f"of: {labels}"
        )
    columns = {name: name for name in _columns(found[0])}
    columns |= {
        f"{shown} {name.removeprefix(f'{direction}_')}": name
        for direction, shown in DIRECTIONS.items()
        for name in columns.values()
        if name.startswith(direction)
    }
    if column not in columns:
        raise ValueError(
            f"the table has no recall {column!r}; its columns are {', '.join(_columns(found[0]))}"
        )
    return found[0], columns[column]


def _columns(row: Row) -> Iterator[str]:
    """Name the columns that hold recalls."""
    for name in row:
        direction = next((one for one in DIRECTIONS if name.startswith(f"{one}_R@")), None)
        if direction is not None and name.rpartition("@")[2].isdecimal():
            yield name


def _number(value: float, *, score: ScoreResult, direction: str, metric: str) -> str:
    low, high = score.intervals[direction][metric]
    won = score.ties_won[direction][metric]
    ties = "" if abs(won - value) < 5e-3 else f"; {won:.2f} % if ties were all won"
    return (
        f"{value:.2f} %, {metric} {DIRECTIONS[direction]}, 95 % interval {low:.2f} to "
        f"{high:.2f}{ties}"
    )


def _published(row: Row, column: str) -> str:
    paper, reruns = row.get(f"{column}_paper", ""), row.get(f"{column}_reruns", "")
    if not paper and not reruns:
        return "nothing that the line names"
    difference, mark = row[f"{column}_difference"], row[f"{column}_mark"]
    told = f"paper {paper}, difference {float(difference or 0):+.2f}"
    parts = [f"{told}, {mark}" if mark else told] if paper else []
    return "; ".join([*parts, *([f"re-runs: {reruns}"] if reruns else [])])


def _run(result: BenchmarkScores) -> str:
    lineage = " from ".join(result.origin.lineage)
    return f"{result.run} ({result.letters}), {lineage}; {result.origin.frames} frames a clip"


def _training(root: Path, result: BenchmarkScores) -> list[tuple[str, str]]:
    """Give the settings of the training, which stand beside the checkpoint."""
    path = root / Path(result.origin.checkpoint).with_suffix(".json")
    if not path.is_file():
        return [("training", f"not told: {path} is gone")]
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return [(f"training, {name}", _plain(value)) for name, value in described.items()]


def _clips(result: BenchmarkScores, *, scores: Path) -> str:
    counts = ", ".join(f"{what} {count}" for what, count in result.counts.items())
    digest = hashlib.sha256("\n".join(result.clip_ids).encode()).hexdigest()[:16]
    first = ", ".join(result.clip_ids[:3])
    return (
        f"{result.gallery} of the split {result.split} of {result.dataset} ({counts}), "
        f"{result.queries} queries, {result.trained_on} trained on; ids in {scores} "
        f"({first}, ...; sha256 of all {digest})"
    )


def _score(name: str, score: ScoreResult) -> str:
    told = f"{name}, {score.near_is} is near, among {score.gallery} clips"
    told += "; transductive: looks at all test queries" if score.is_transductive else ""
    return told + (f"; {_fit(score.fit)}" if score.fit is not None else "")


def _fit(fit: FitRecord) -> str:
    numbers = " | ".join(_plain(one.model_dump(exclude_none=True)) for one in fit.numbers)
    where = f"split {fit.split}" if fit.split is not None else f"{len(fit.numbers)} halves"
    return f"fitted on {where}, {fit.clips} clips: {numbers}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _command(row: Row) -> str:
    files = (f"results/scores/{run}/{row['benchmark']}.json" for run in row["runs"].split())
    return f"snakemake {' '.join(files)}"
