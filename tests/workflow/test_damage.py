"""Shards that are damaged after they were packed: a job names them, the workflow mends them."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from gram.cli import app

Run = Callable[..., subprocess.CompletedProcess[str]]

FOLDER = "results/shards/own"
INDEX = f"{FOLDER}/index.parquet"
EMBEDDED = "results/embeddings/cosine/own/test/vectors.safetensors"


def damaged(tree: Path) -> tuple[Path, bytes]:
    """Cut a shard of a tree; give it with what it was."""
    shard = next(path for path in sorted((tree / FOLDER).glob("*.tar")) if path.stat().st_size)
    content = shard.read_bytes()
    shard.write_bytes(content[:-1000])
    return shard, content


def flat(text: str) -> str:
    """Join the lines of a message, which may be broken anywhere."""
    return " ".join(text.split())


def test_a_job_that_reads_a_cut_shard_names_it_and_what_mends_it(
    own_tree: Path, run_snakemake: Run
) -> None:
    shard, content = damaged(own_tree)
    (own_tree / EMBEDDED).unlink()
    done = run_snakemake(own_tree, EMBEDDED)
    assert done.returncode != 0
    said = flat(done.stdout)
    size, name = len(content), shard.relative_to(own_tree)
    assert f"the shard {name} has {size - 1000} bytes, it had {size} when it was packed" in said
    (command,) = set(re.findall(r"run `gram (shards verify \S+ --discard)`", said))
    _, _, folder, _ = command.split()
    mended = CliRunner().invoke(app, ["shards", "verify", str(own_tree / folder), "--discard"])
    assert mended.exit_code == 1
    done = run_snakemake(own_tree, EMBEDDED)
    assert done.returncode == 0, done.stdout
    assert shard.read_bytes() == content


def test_the_indexing_removes_a_damaged_shard_and_the_next_start_packs_it_again(
    own_tree: Path, run_snakemake: Run
) -> None:
    shard, content = damaged(own_tree)
    before = (own_tree / INDEX).read_bytes()
    (own_tree / INDEX).unlink()
    done = run_snakemake(own_tree, INDEX)
    assert done.returncode != 0
    assert f"{shard.name} has {len(content) - 1000} bytes" in flat(done.stdout)
    assert "run the workflow again, which packs that chunk anew" in flat(done.stdout)
    done = run_snakemake(own_tree, INDEX)
    assert done.returncode == 0, done.stdout
    assert (shard.read_bytes(), (own_tree / INDEX).read_bytes()) == (content, before)
