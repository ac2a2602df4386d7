"""Where a number of a table comes from: run, checkpoint, settings, clips, score, protocol, command.

All of it is read from files of the workflow beside the table; nothing is computed anew.
"""

import hashlib
import json
from pathlib import Path
from statistics import mean
from typing import Any

from gram.evaluation.cells import Row, TableCell, find_cell, read_rows
from gram.evaluation.references import References
from gram.evaluation.results import BenchmarkScores, FitRecord, ScoreResult, read_scores
from gram.evaluation.tables import DIRECTIONS


def explain_cell(table: Path, cell: str, *, references: References) -> list[tuple[str, str]]:
    """Say how one cell of a table came about, or what it lacks.

    Args:
        table: The table, ``results/tables/NAME.csv``, or a copy of it below ``results/``.
        cell: Which one; see ``find_cell``. It may be a recall, what stands beside one, such as the
            paper's number, a count, or a name.
        references: Published numbers, with their sources.

    Returns:
        What is said, and the name of each part, in order.

    Raises:
        ValueError: If there is no such table, line or column, or a file it was made of is gone or
            says something else now.
    """
    found = find_cell(read_rows(table), cell)
    results = _results_folder(table)
    files = [
        results / "scores" / run / f"{found.row['benchmark']}.json"
        for run in found.row["runs"].split()
    ]
    parts = [("cell", f"{found.value or 'empty'} ({found.meaning})")]
    if not found.row["gallery"]:
        return [*parts, *_missing(found, files, references)]
    gone = [path for path in files if not path.is_file()]
    if gone:
        raise ValueError(
            f"{', '.join(map(str, gone))} is gone, of which the line {found.row['label']!r} was "
            f"made; `{_command(found.row)}` makes it"
        )
    scored = [read_scores(path) for path in files]
    for path, result in zip(files, scored, strict=True):
        if found.row["score"] not in result.scores:
            raise ValueError(
                f"{path} has no score {found.row['score']!r} any more; make the table again: "
                f"`snakemake {table.as_posix()}`"
            )
    if found.recall is not None:
        parts += _numbers(found, table, files, scored)
        parts.append(("published", _published(found, references)))
    several = len(files) > 1
    for path, result in zip(files, scored, strict=True):
        told = _origin(results.parent, found.row, result, path=path)
        parts += [(f"{what} of {result.run}" if several else what, text) for what, text in told]
    return [*parts, ("command", _command(found.row))]


def _results_folder(table: Path) -> Path:
    """Find the folder of results that a table lies in, itself or as a copy."""
    for folder in (*table.parents, *table.absolute().parents):
        if folder.name == "results" or (folder / "scores").is_dir():
            return folder
    raise ValueError(
        f"{table} lies in no folder of results, with scores in it; give results/tables/NAME.csv"
    )


def _missing(cell: TableCell, files: list[Path], references: References) -> list[tuple[str, str]]:
    """Say what a line lacks that has no numbers."""
    gone = [str(path) for path in files if not path.is_file()]
    lacks = f"lacks {', '.join(gone)}" if gone else "the table is older than its scores"
    parts = [("missing", f"the line has no numbers: {lacks}")]
    if cell.recall is not None:
        parts.append(("published", _published(cell, references)))
    row = cell.row
    return [
        *parts,
        ("run", ", ".join(row["runs"].split())),
        ("benchmark", row["benchmark"]),
        ("score", row["score"]),
        ("command", _command(row) if gone else "snakemake NAME, or gram table NAME"),
    ]


def _numbers(
    cell: TableCell, table: Path, files: list[Path], scored: list[BenchmarkScores]
) -> list[tuple[str, str]]:
    """Say the recall that a cell is or stands beside, from the scores that it was made of."""
    row, column = cell.row, cell.recall or ""
    scores = [result.scores[row["score"]] for result in scored]
    values: list[float] = [getattr(score, cell.direction)[cell.metric] for score in scores]
    if abs(mean(values) - float(row[column])) > 1e-3:
        raise ValueError(
            f"{', '.join(map(str, files))} says {mean(values):.4f} now, and the table "
            f"{row[column]}: it was made of older scores; make it again: "
            f"`snakemake {table.as_posix()}`"
        )
    numbers = [
        _number(value, score=score, direction=cell.direction, metric=cell.metric)
        for value, score in zip(values, scores, strict=True)
    ]
    if len(files) == 1:
        return [("number", numbers[0])]
    spread = f"{row[column]} %, mean; {row[f'{column}_spread']} points, standard deviation"
    of_runs = [
        (f"number of {result.run}", number) for result, number in zip(scored, numbers, strict=True)
    ]
    return [("number", spread), *of_runs]


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


def _number(value: float, *, score: ScoreResult, direction: str, metric: str) -> str:
    low, high = score.intervals[direction][metric]
    won = score.ties_won[direction][metric]
    ties = "" if abs(won - value) < 5e-3 else f"; {won:.2f} % if ties were all won"
    return (
        f"{value:.2f} %, {metric} {DIRECTIONS[direction]}, 95 % interval {low:.2f} to "
        f"{high:.2f}{ties}"
    )


def _published(cell: TableCell, references: References) -> str:
    """Say what others found, and where it stands."""
    row, name = cell.row, cell.row["reference"]
    if not name:
        return "nothing: the line names no reference"
    known = references.get((name, cell.direction, cell.metric), [])
    if not known:
        return f"nothing: {name} has no {cell.metric} {DIRECTIONS[cell.direction]}"
    told = [
        f"{one.who} {one.percent:g} ({one.source}; {one.confidence})".replace(" (; )", "")
        for one in known
    ]
    if row[f"{cell.recall}_difference"]:
        difference = f"difference to the paper {float(row[f'{cell.recall}_difference']):+.2f}"
        told.append(f"{difference} {row[f'{cell.recall}_mark']}".strip())
    return "; ".join(told)


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
