"""What a dry run of Snakemake says."""

import re
from collections.abc import Collection

TARGETS = ("all", "report")
"""Rules that compute nothing; tables are others."""


def planned_jobs(output: str, targets: Collection[str] = TARGETS) -> dict[str, int]:
    """Read how many jobs of each rule would run; targets are no jobs.

    Args:
        output: What `snakemake --dry-run --quiet rules` wrote.
        targets: Names of rules that are targets.
    """
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:")[1]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    assert counts.pop("total") == sum(counts.values()), output
    return {name: count for name, count in counts.items() if name not in targets}
