"""The rules of a workflow as a drawing: which rule's files which other rule reads.

Snakemake tells its graph when it starts, as JSON; the drawing needs no other program.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from gram.files import write_text

ROW_PIXELS = 64
"""From one row of rules to the next."""

CHARACTER_PIXELS = 8
"""Width of a letter of the labels, about."""

BOX_PIXELS = 38
GAP_PIXELS = 26
SWEEPS = 8
"""How often rows are put in order, by the rows above and below in turns."""


@dataclass(frozen=True, kw_only=True)
class RuleGraph:
    """Which rules a workflow has, and which of them read files of which others.

    Attributes:
        jobs: Number of jobs of each rule.
        edges: Rule that writes a file, rule that reads it; no rule reads what follows from it.
    """

    jobs: Mapping[str, int]
    edges: Sequence[tuple[str, str]]


def write_graph(graph: RuleGraph, path: Path) -> None:
    """Write a graph as JSON, if the file does not hold it yet."""
    content = {"jobs": dict(sorted(graph.jobs.items())), "edges": sorted(graph.edges)}
    text = json.dumps(content, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def read_graph(path: Path) -> RuleGraph:
    """Read what ``write_graph`` wrote.

    Raises:
        ValueError: If there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise ValueError(f"no rules at {path}; the workflow writes them when it starts")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        jobs = {str(name): int(count) for name, count in content["jobs"].items()}
        edges = [(str(before), str(after)) for before, after in content["edges"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no rules ({error}); delete it and start again") from error
    return RuleGraph(jobs=jobs, edges=edges)


def with_finished(now: RuleGraph, before: RuleGraph, *, checkpoints: Collection[str]) -> RuleGraph:
    """Add the checkpoints that are finished, with what they go back to, as an earlier start had it.

    Snakemake looks no further than the files of a finished checkpoint, so that the rule and those
    behind it are not in its graph any more.

    Args:
        now: What this start looked at.
        before: What an earlier one did.
        checkpoints: Names of the workflow's checkpoints.
    """
    kept: set[str] = set()
    wanted = [name for name in checkpoints if name in before.jobs and name not in now.jobs]
    while wanted:
        kept.add(name := wanted.pop())
        wanted += set(_before(before.edges, name)) - set(now.jobs) - kept
    edges = [
        (first, last)
        for first, last in before.edges
        if first in kept and (last in kept or last in now.jobs)
    ]
    jobs = {name: before.jobs[name] for name in sorted(kept)}
    return RuleGraph(jobs={**now.jobs, **jobs}, edges=[*now.edges, *edges])


def draw_graph(graph: RuleGraph) -> str:
    """Draw the rules as SVG, from the first at the top to the last at the bottom.

    Edges that follow from others are left out. The same graph gives the same bytes. Colors are CSS
    variables with a default, so that a page that holds the drawing can follow the reader's setting.

    Raises:
        ValueError: If rules read each other's files, or there is none.
    """
    if not graph.jobs:
        raise ValueError("there are no rules to draw")
    edges = _reduced(graph)
    rows = _ordered(_rows(graph.jobs, edges), edges)
    widths = {name: _width(name, count) for name, count in graph.jobs.items()}
    total = max(sum(widths[name] + GAP_PIXELS for name in row) for row in rows) + GAP_PIXELS
    places = {}
    for number, row in enumerate(rows):
        length = sum(widths[name] for name in row) + GAP_PIXELS * (len(row) - 1)
        x = (total - length) / 2
        for name in row:
            places[name] = (x, GAP_PIXELS / 2 + number * ROW_PIXELS)
            x += widths[name] + GAP_PIXELS
    height = len(rows) * ROW_PIXELS
    lines = [_line(places, widths, edge) for edge in edges]
    boxes = [
        _box(name, count, place=places[name], width=widths[name])
        for name, count in sorted(graph.jobs.items())
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:.0f} {height}" role="img" '
        f'style="max-width:{total:.0f}px" '
        'aria-label="Rules of the workflow, and which reads the files of which" '
        'font-family="system-ui, sans-serif" font-size="12.5">'
    )
    return "\n".join([head, *lines, *boxes, "</svg>\n"])


def _before(edges: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [before for before, after in edges if after == name]


def _reduced(graph: RuleGraph) -> list[tuple[str, str]]:
    """Leave out the edges that follow from others."""
    edges = sorted(set(graph.edges))
    known: dict[str, set[str]] = {}
    for name in graph.jobs:
        _ancestors(name, edges, known, on_way=())
    kept = []
    for before, after in edges:
        others = [one for one in _before(edges, after) if one != before]
        if not any(before in known[one] for one in others):
            kept.append((before, after))
    return kept


def _ancestors(
    name: str,
    edges: Sequence[tuple[str, str]],
    known: dict[str, set[str]],
    *,
    on_way: tuple[str, ...],
) -> set[str]:
    """Find all that a rule goes back to."""
    if name in on_way:
        raise ValueError(f"rules read each other's files: {' from '.join([*on_way, name])}")
    if name not in known:
        found = set()
        for before in _before(edges, name):
            found |= {before, *_ancestors(before, edges, known, on_way=(*on_way, name))}
        known[name] = found
    return known[name]


def _rows(names: Mapping[str, int], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Put each rule below all that it reads from, as near to what reads from it as that allows."""
    row: dict[str, int] = {}

    def place(name: str) -> int:
        if name not in row:
            row[name] = 1 + max((place(one) for one in _before(edges, name)), default=-1)
        return row[name]

    for name in names:
        place(name)
    for name in sorted(names, key=lambda one: -row[one]):
        after = [row[last] for first, last in edges if first == name]
        row[name] = min(after) - 1 if after else row[name]
    return [sorted(one for one in names if row[one] == i) for i in range(1 + max(row.values()))]


def _ordered(rows: list[list[str]], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Put the rules of each row in an order in which few lines cross."""
    beside: dict[str, list[str]] = {}
    for before, after in edges:
        beside.setdefault(before, []).append(after)
        beside.setdefault(after, []).append(before)
    place = {name: i - (len(row) - 1) / 2 for row in rows for i, name in enumerate(row)}

    def pull(name: str) -> float:
        near = beside.get(name, [])
        return sum(place[one] for one in near) / len(near) if near else place[name]

    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            row.sort(key=lambda name: (pull(name), name))
            place |= {name: i - (len(row) - 1) / 2 for i, name in enumerate(row)}
    return rows


def _width(name: str, count: int) -> float:
    return 20 + CHARACTER_PIXELS * max(len(name), len(_count_text(count)))


def _count_text(count: int) -> str:
    return f"{count:,} job{'s' if count != 1 else ''}"


def _line(
    places: Mapping[str, tuple[float, float]],
    widths: Mapping[str, float],
    edge: tuple[str, str],
) -> str:
    (x1, y1), (x2, y2) = places[edge[0]], places[edge[1]]
    x1, x2, y1 = x1 + widths[edge[0]] / 2, x2 + widths[edge[1]] / 2, y1 + BOX_PIXELS
    bend = (y2 - y1) / 2
    return (
        f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} '
        f'{x2:.1f} {y2:.1f}" fill="none" stroke="var(--muted, #5b6675)" stroke-width="1.2"/>'
    )


def _box(name: str, count: int, *, place: tuple[float, float], width: float) -> str:
    x, y = place
    middle = x + width / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX_PIXELS}" rx="8" '
        'fill="var(--surface, #ffffff)" stroke="var(--accent, #1f6f8b)"/>'
        f'<text x="{middle:.1f}" y="{y + 16:.1f}" text-anchor="middle" '
        f'fill="var(--ink, #1f2733)">{escape(name)}</text>'
        f'<text x="{middle:.1f}" y="{y + 30:.1f}" text-anchor="middle" font-size="10.5" '
        f'fill="var(--muted, #5b6675)">{_count_text(count)}</text>'
    )
