"""Runs that stand for several, which differ in their seed alone.

``runs: {volume: {seeds: [0, 1]}}`` becomes the runs ``volume_seed0`` and ``volume_seed1``, and the
lines of tables that name ``volume`` show the mean over both. A run that starts from one with seeds
starts from that of its own seed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Raw = Mapping[str, Any]


def spread_seeds(data: Raw) -> Raw:
    """Put a run a seed in the place of each run with ``seeds``, and name them in its tables' lines.

    What is not of the form that the settings ask for is left as it is, for their own checks.

    Args:
        data: The whole of the settings as they were read, defaults merged into each run.

    Raises:
        ValueError: If a run has the name that one is given here, or a run with seeds starts from
            one that lacks one of them, or a run without from one with seeds.
    """
    runs: Raw = data["runs"]
    members = {name: _members(name, run["seeds"]) for name, run in runs.items() if _is_spread(run)}
    spread: dict[str, Any] = {}
    for name, run in runs.items():
        if name not in members:
            _check_start(name, run, members)
            spread[name] = run
            continue
        for member, seed in zip(members[name], run["seeds"], strict=True):
            if member in runs:
                raise ValueError(
                    f"runs.{name} has the seed {seed}, so that a run {member!r} is made, which is "
                    "there already; rename one of them"
                )
            start = _start_of(f"runs.{name}", run.get("start"), seed=seed, members=members)
            spread[member] = {**run, "seeds": None, "seed": seed, "start": start}
    return {**data, "runs": spread, "tables": _with_members(data.get("tables"), members)}


def _members(name: str, seeds: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{name}_seed{seed}" for seed in seeds)


def _is_spread(run: object) -> bool:
    """Say whether a run has seeds that can be used; what cannot, the class of runs refuses."""
    seeds = run.get("seeds") if isinstance(run, Mapping) else None
    if not isinstance(seeds, Sequence) or isinstance(seeds, str) or not seeds:
        return False
    are_numbers = all(type(seed) is int and seed >= 0 for seed in seeds)
    return are_numbers and len(set(seeds)) == len(seeds)


def _start_of(
    where: str, start: object, *, seed: int, members: Mapping[str, tuple[str, ...]]
) -> object:
    if not isinstance(start, str) or start not in members:
        return start
    wanted = f"{start}_seed{seed}"
    if wanted not in members[start]:
        raise ValueError(
            f"{where} has the seed {seed} and starts from {start!r}, which lacks it: that one has "
            f"{', '.join(members[start])}; give both the same seeds"
        )
    return wanted


def _check_start(name: str, run: object, members: Mapping[str, tuple[str, ...]]) -> None:
    start = run.get("start") if isinstance(run, Mapping) else None
    if isinstance(start, str) and start in members:
        raise ValueError(
            f"runs.{name} starts from {start!r}, which has seeds; name one of "
            f"{', '.join(members[start])}, or give runs.{name} seeds too"
        )


def _with_members(tables: object, members: Mapping[str, tuple[str, ...]]) -> object:
    if not isinstance(tables, Mapping):
        return tables or {}

    def line(row: object) -> object:
        run = row.get("run") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(run, str) or run not in members:
            return row
        return {**row, "members": members[run]}

    return {
        name: {**table, "rows": [line(row) for row in table["rows"]]}
        if isinstance(table, Mapping) and isinstance(table.get("rows"), list)
        else table
        for name, table in tables.items()
    }
