"""Planning: what a dry run costs, from the paper's tables to 27,000 chunks of clips.

All files that are brought are there, and empty.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from gram.config import Config, merged
from gram.files import write_text
from tests.scale.paper_tree import make_paper_tree
from tests.scale.processes import ROOT, Used, run_module

CHUNKS = 27_000
PART_CHUNKS = 3_000
PARTS = CHUNKS // PART_CHUNKS
BIG = "vast_150k"
BIG_INDEX = f"results/shards/{BIG}/index.parquet"
OVERLAY = "many_chunks.yaml"

Tell = Callable[[str], None]


def planning_section(folder: Path, tell: Tell) -> str:
    """Measure dry runs, and give the section of what they took."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    paper = Config.model_validate(settings)
    tree = make_paper_tree(folder / "paper", _copy, paper)
    rows = [
        ("`targets` of `config/config.yaml`", _plan(tree, "all")),
        ("every table of `config/config.yaml`", _plan(tree, *paper.tables)),
    ]
    overlay = {"datasets": {BIG: {"chunks": CHUNKS}}}
    many = Config.model_validate(merged(settings, overlay))
    tree = make_paper_tree(folder / "many", _copy, many)
    write_text(tree / OVERLAY, yaml.safe_dump(overlay))
    of_many = ("--configfile", OVERLAY)
    tell(f"planning the parts of {CHUNKS:,} chunks")
    rows.append((f"{PART_CHUNKS:,} of {CHUNKS:,} chunks", _plan(tree, f"{BIG}_part_1", *of_many)))
    names = sorted(f"{chunk:04d}.parquet" for chunk in range(CHUNKS))  # as batches are cut
    indexes = [tree / f"results/shards/{BIG}/{name}" for name in names]
    indexes[0].parent.mkdir(parents=True)
    for index in indexes[:-PART_CHUNKS]:
        index.touch()
    last = ("--batch", f"index_shards={PARTS}/{PARTS}")
    used = _plan(tree, BIG_INDEX, *last, *of_many)
    rows.append((f"the index of {CHUNKS:,}, as the last batch", used))
    for index in indexes[:-PART_CHUNKS]:
        index.unlink()
    tell(f"planning all {CHUNKS:,} chunks at once")
    rows.append((f"all {CHUNKS:,} chunks at once", _plan(tree, BIG_INDEX, *of_many)))
    return _text(rows)


def _plan(tree: Path, *arguments: str) -> Used:
    """Make a dry run in a tree, and tell what it used."""
    shutil.rmtree(tree / ".snakemake", ignore_errors=True)
    os.environ["MLFLOW_TRACKING_URI"] = ""
    return run_module("snakemake", *arguments, "--dry-run", "--quiet", "rules", folder=tree)


def _copy(folder: Path) -> Path:
    """Copy the project as git has it, with what is not committed yet."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def _text(rows: list[tuple[str, Used]]) -> str:
    return "\n".join(
        [
            "## Planning",
            "",
            "Dry runs in a tree whose annotations, weights and tables of clips are empty files. A "
            "chunk is five jobs.",
            "",
            "| what is planned | processor seconds | wall seconds | memory, GB |",
            "|---|---|---|---|",
            *(
                f"| {name} | {used.cpu_seconds:.1f} | {used.wall_seconds:.1f} "
                f"| {used.peak_mib * 2**20 / 1e9:.2f} |"
                for name, used in rows
            ),
        ]
    )
