"""What stands behind the numbers of a table, in sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gram.config import TableConfig, TableRow, parse_score
from gram.evaluation.results import BenchmarkScores, ScoreResult, read_scores


def index_results(scores: Sequence[Path]) -> dict[tuple[str, str], BenchmarkScores]:
    """Read scores files into a mapping from (run, benchmark)."""
    results = (read_scores(path) for path in scores)
    return {(result.run, result.benchmark): result for result in results}


def results_of(
    row: TableRow, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[BenchmarkScores]:
    """Give the scores of a line: of its one run, or of its run of each seed.

    Raises:
        ValueError: If some are not there.
    """
    for run in row.runs:
        if (run, row.benchmark) not in results:
            known = ", ".join(f"{run} on {benchmark}" for run, benchmark in results) or "none"
            raise ValueError(
                f"the table names {run} on {row.benchmark}, whose scores were not given; "
                f"given: {known}; score that benchmark first"
            )
    return [results[run, row.benchmark] for run in row.runs]


def scores_of(
    row: TableRow, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[ScoreResult]:
    """Give what the score of a line came to, once a run.

    Raises:
        ValueError: If it was not computed, or the line has no scores.
    """
    of_runs = results_of(row, results=results)
    for result in of_runs:
        if row.score not in result.scores:
            raise ValueError(
                f"the scores of {result.run} on {row.benchmark} lack {row.score!r}; they hold "
                f"{', '.join(result.scores) or 'none'}; add it to evaluation.scores of the run"
            )
    return [result.scores[row.score] for result in of_runs]


def table_warnings(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[str]:
    """Say which lines of a table rank clips that training saw.

    Args:
        table: The table.
        results: The scores of each (run, benchmark) that the table names.

    Raises:
        ValueError: If a line's scores are not there.
    """
    found = _found(table, results=results)
    return [
        f"Warning: {result.trained_on} of the {result.gallery} gallery clips of {benchmark} were "
        f"trained on by {run}. These numbers show that the plumbing works, not that anything was "
        "learned."
        for (run, benchmark), result in found.items()
        if result.trained_on > 0
    ]


def table_notes(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[str]:
    """Say in sentences what stands behind a table: its note, chance, galleries.

    Args:
        table: The table.
        results: The scores of each (run, benchmark) that the table names.

    Raises:
        ValueError: If a line's scores are not there.
    """
    found = _found(table, results=results)
    notes = [table.note] if table.note else []
    scores = [score for row in table.rows for score in scores_of(row, results=results)]
    galleries = sorted({score.gallery for score in scores})
    chances = " or ".join(f"{chance_percent(n)} % ({n} clips)" for n in galleries)
    has_single = any(len(row.runs) == 1 for row in table.rows)
    bracketed = ", with the 95 % interval over clips in brackets" if has_single else ""
    notes.append(f"Recalls are percentages{bracketed}. By chance R@1 is {chances}.")
    if seeds := sorted({len(row.runs) for row in table.rows if len(row.runs) > 1}):
        notes.append(
            f"±: mean and standard deviation over {' or '.join(map(str, seeds))} runs that differ "
            "in their seed alone. It tells how much the seed matters; that other clips would be "
            "ranked otherwise comes on top."
        )
    notes += _score_notes(table, results=results)
    described: dict[str, list[str]] = {}
    for (run, _), result in found.items():
        described.setdefault(_gallery_note(result), []).append(run)
    for gallery, runs in described.items():
        notes.append(gallery if len(described) == 1 else f"{gallery} Runs: {', '.join(runs)}.")
    for benchmark in sorted({benchmark for _, benchmark in found}):
        ranked = {result.clip_ids for (_, name), result in found.items() if name == benchmark}
        if len(ranked) > 1:
            notes.append(
                f"The runs rank {len(ranked)} different galleries of {benchmark}; "
                "recalls of different galleries cannot be compared."
            )
    return notes


def _found(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> dict[tuple[str, str], BenchmarkScores]:
    """Give the scores of each (run, benchmark) of a table, in order."""
    found = [result for row in table.rows for result in results_of(row, results=results)]
    return {(result.run, result.benchmark): result for result in found}


def _score_notes(
    table: TableConfig, *, results: Mapping[tuple[str, str], BenchmarkScores]
) -> list[str]:
    """Say what scores looked at beyond one query and one candidate."""
    notes = []
    scores = dict.fromkeys(row.score for row in table.rows)
    if transductive := [name for name in scores if parse_score(name).is_transductive]:
        notes.append(
            f"Transductive: {', '.join(transductive)}. The place of each query depends on all "
            "other test queries, which one who searches does not have."
        )
    if reranked := [name for name in scores if parse_score(name).is_reranked]:
        keeps = sorted({result.evaluation.rerank for result in results.values()})
        best = " or ".join(map(str, keeps))
        notes.append(
            f"Re-ranked: {', '.join(reranked)}. The matching head reads the {best} best candidates "
            "of each query; the others follow in the order of the first score."
        )
    halves: dict[int, list[str]] = {}
    for row in table.rows:
        fit = scores_of(row, results=results)[0].fit
        if fit is not None and fit.split is None:
            halves.setdefault(len(fit.numbers), []).append(row.score)
    for count, names in halves.items():
        notes.append(
            f"Fitted on one half of the clips and ranked on the other, mean of {count} halves: "
            f"{', '.join(dict.fromkeys(names))}. The gallery is half as large, so that these "
            "recalls cannot be compared with those of whole galleries."
        )
    return notes


def _gallery_note(result: BenchmarkScores) -> str:
    counts = ", ".join(f"{what} {count}" for what, count in result.counts.items())
    return (
        f"{result.benchmark}: split {result.split} of data set {result.dataset}, "
        f"{result.gallery} clips and {result.queries} queries"
        f"{f' ({counts})' if counts else ''}."
    )


def chance_percent(gallery: int, *, k: int = 1) -> str:
    """Give Recall@K of a random ranking of so many clips, in percent.

    Example:
        >>> chance_percent(8), chance_percent(884), chance_percent(4, k=10)
        ('12.5', '0.11', '100.0')
    """
    chance = 100 * min(k / gallery, 1)
    return f"{chance:.1f}" if chance >= 1 else f"{chance:.2g}"
