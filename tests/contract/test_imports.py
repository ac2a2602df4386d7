"""What an import costs: rules import modules at every start of Snakemake, on login nodes too."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "pandas", "mlflow")


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def loaded_after(statement: str) -> set[str]:
    names = run_python(f"import sys; {statement}; print(*sys.modules)").split()
    assert "gram" in names
    return set(names)


def test_importing_the_package_takes_under_a_fifth_of_a_second() -> None:
    code = (
        "import time; began = time.perf_counter(); import gram; print(time.perf_counter() - began)"
    )
    assert min(float(run_python(code)) for _ in range(5)) < 0.2


@pytest.mark.parametrize("package", HEAVY)
def test_importing_the_package_does_not_load(package: str) -> None:
    assert package not in loaded_after("import gram")


@pytest.mark.parametrize(
    "module",
    [
        "gram.config",
        "gram.stages",
        "gram.workflow",
        "gram.tracking",
        "gram.data.media_files",
        "gram.data.generate",
        "gram.data.probe",
        "gram.data.extract",
        "gram.data.depth",
        "gram.data.subtitles",
        "gram.data.shards",
        "gram.fetch.clips",
        "gram.fetch.sources",
        "gram.perception.folders",
    ],
)
def test_rules_and_extraction_load_no_torch(module: str) -> None:
    assert "torch" not in loaded_after(f"import {module}")


@pytest.mark.parametrize("package", ["requests", "yt_dlp", "gdown", "huggingface_hub"])
def test_a_plan_of_what_is_fetched_loads_nothing_that_fetches(package: str) -> None:
    assert package not in loaded_after("import gram.fetch.plan")
