"""`make why`: what a start of the workflow would run, and why, on one screen.

Arguments go to Snakemake: `python -m gram.why --profile slurm`.
"""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gram.job_sections import flat_settings

NOTHING = "Nothing to be done"
PARAMS = re.compile(r"now across all output: before: (.*) now: (.*)$", re.MULTILINE)
"""What a changed job had and has: values as Python writes them, which only one of both has."""

SETTINGS = re.compile(r"'\{(?:[^'\\]|\\.)*'")
"""Settings among them: JSON, written by Python."""

MOST_SETTINGS = 12
"""Changed settings that are shown; a screen has 24 lines or more."""


def main(arguments: Sequence[str]) -> int:
    """Ask Snakemake what it would do, and say it in short; return its exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--dry-run"],
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stdout.write(in_short(done.stdout) if done.returncode == 0 else done.stdout)
    return done.returncode


def in_short(text: str) -> str:
    """Put what a dry run writes on one screen: jobs of each rule, reasons, changed settings."""
    if NOTHING in text:
        return "Nothing would run: all that was asked for is there, and is up to date.\n"
    table, reasons = text.rsplit("Job stats:", 1)[1].split("Reasons:")
    counts = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    total = counts.pop("total")
    why = _by_rule(reasons)
    lines = [f"{total} jobs would run.", ""]
    lines += [
        f"{count:6}  {rule:<20} {', '.join(why.get(rule, ['a target of this start']))}"
        for rule, count in counts.items()
    ]
    changes = Counter(change for pair in PARAMS.findall(text) for change in _changes(*pair))
    if changes:
        lines += ["", "Settings that changed:"]
        lines += [
            f"{count:6}  {change}" for change, count in sorted(changes.items())[:MOST_SETTINGS]
        ]
    if len(changes) > MOST_SETTINGS:
        lines.append(f"        and {len(changes) - MOST_SETTINGS} more")
    return "\n".join(lines) + "\n"


def _by_rule(text: str) -> Mapping[str, list[str]]:
    """Read the list of reasons, each with the rules that it is of, the other way round."""
    found: dict[str, list[str]] = {}
    reason = ""
    for line in text.splitlines():
        if re.fullmatch(r" {4}[a-z].*:", line):
            reason = line.strip(" :")
        elif re.match(r" {8}\w", line):
            for rule in line.split(","):
                found.setdefault(rule.strip(), []).append(reason)
        elif line and not line.startswith(" "):
            break
    return found


def _changes(before: str, now: str) -> Iterator[str]:
    """Name what differs between the params of two tries of a job."""
    old, new = _settings(before), _settings(now)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}"


def _settings(params: str) -> dict[str, str]:
    """Read the settings out of params, and the only number that is none of them."""
    settings = {
        name: value
        for text in SETTINGS.findall(params)
        for name, value in flat_settings(ast.literal_eval(text)).items()
    }
    if number := re.search(r"(?:^|,)(\d+)(?:,|;|$)", SETTINGS.sub("", params)):
        settings["version of the stage, or number of chunks"] = number[1]
    return settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
