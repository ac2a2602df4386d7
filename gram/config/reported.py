"""Of the settings what the report shows, and what that goes back to."""

from typing import Any

from gram.config.whole import Config


def shown_scores(config: Config, run: str, benchmark: str) -> tuple[str, ...]:
    """Name the scores by which lines of the report rank a benchmark, each once, in order."""
    rows = [row for table in config.targets for row in config.tables[table].rows]
    scores = [
        row.score
        for row in (*rows, config.showcase)
        if run in row.runs and row.benchmark == benchmark
    ]
    return tuple(dict.fromkeys(scores))


def resolved(config: Config) -> dict[str, Any]:
    """Give the settings that the lines of the report go back to, whole, as they can be read again.

    Of runs, benchmarks, data sets, weights and tables those that no line goes back to are left out,
    so that a change of them makes no new report. What every run starts from stays, since a start
    that reads this reads the runs of config/config.yaml too, which must fit the rest.
    """
    rows = [row for table in config.targets for row in config.tables[table].rows]
    shown = (*rows, config.showcase)
    runs = {name for row in shown for run in row.runs for name in config.lineage(run)}
    benchmarks = {row.benchmark for row in shown}
    benchmarks |= {config.embedded_as(name) for name in benchmarks}
    datasets: set[Any] = {config.benchmarks[name].dataset for name in benchmarks}
    datasets |= {config.runs[name].pretrain_dataset for name in runs}
    weights = {config.runs[name].weights for name in runs}
    kept: dict[str, set[Any]] = {
        "runs": runs,
        "benchmarks": benchmarks,
        "datasets": datasets,
        "weights": weights,
        "tables": set(config.targets),
    }
    whole = config.model_dump(mode="json")
    for section, names in kept.items():
        whole[section] = {name: one for name, one in whole[section].items() if name in names}
    whole["report"]["showcase"] = config.showcase.model_dump(mode="json")
    return whole
