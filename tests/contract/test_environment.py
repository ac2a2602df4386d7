"""One environment, written down three times: pyproject.toml, constraints.txt, envs/gram.yaml."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
CONDA = yaml.safe_load((ROOT / "envs" / "gram.yaml").read_text(encoding="utf-8"))


def pins(lines: list[str]) -> dict[str, str]:
    """Read ``name==version`` lines as versions by normalized name."""
    split = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in split}


def conda_pip_lines() -> list[str]:
    (lines,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    return list(lines)


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> set[str]:
    """Name what an installed package needs on this machine, itself included, by its metadata."""
    name = str(canonicalize_name(requirement.name))
    found = {name}
    for extra in sorted(requirement.extras) or [""]:
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in importlib.metadata.requires(name) or []:
            below = Requirement(line)
            if below.marker is None or below.marker.evaluate({"extra": extra}):
                found |= needed(below, seen)
    return found


def imported_packages() -> dict[str, set[str]]:
    """Name the files that import each top-level package from outside."""
    own = {"gram", "tests", "bench"}
    found: dict[str, set[str]] = {}
    for folder in ("gram", "workflow", "tests", "bench"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                    names = [node.module]
                for top in {name.split(".")[0] for name in names} - own - sys.stdlib_module_names:
                    found.setdefault(top, set()).add(str(path.relative_to(ROOT)))
    return found


def test_constraints_pin_one_version_a_line() -> None:
    lines = [line for line in CONSTRAINTS if not line.startswith("#")]
    assert len(lines) > 100
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)
    ] == []


def test_constraints_are_sorted() -> None:
    names = [line.split("==")[0].lower() for line in CONSTRAINTS if not line.startswith("#")]
    assert names == sorted(names)


def test_constraints_name_no_package_index() -> None:
    assert not re.search(r"https?:|^-", "\n".join(CONSTRAINTS), flags=re.MULTILINE)


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_the_pin_of_a_direct_package_fits_its_requirement(requirement: Requirement) -> None:
    pinned = pins(CONSTRAINTS).get(canonicalize_name(requirement.name))
    assert pinned is not None, f"add {requirement.name} to constraints.txt"
    assert requirement.specifier.contains(pinned)


def test_what_is_needed_indirectly_is_pinned() -> None:
    seen: set[tuple[str, str]] = set()
    names = set().union(*(needed(requirement, seen) for requirement in DIRECT))
    assert len(names) > 100
    assert sorted(names - pins(CONSTRAINTS).keys() - {"pip", "setuptools"}) == []


def test_conda_pins_what_constraints_pin_for_the_direct_packages() -> None:
    direct = {canonicalize_name(requirement.name) for requirement in DIRECT}
    expected = {name: version for name, version in pins(CONSTRAINTS).items() if name in direct}
    assert pins(conda_pip_lines()) == expected


def test_conda_takes_the_oldest_python_that_is_allowed() -> None:
    (version,) = [
        entry.removeprefix("python=")
        for entry in CONDA["dependencies"]
        if isinstance(entry, str) and entry.startswith("python=")
    ]
    assert PROJECT["requires-python"] == f">={version}"


def test_each_imported_package_is_a_direct_requirement() -> None:
    providers = importlib.metadata.packages_distributions()
    direct = {canonicalize_name(requirement.name) for requirement in DIRECT}
    imported = imported_packages()
    assert {"torch", "pydantic", "pytest"} <= imported.keys()
    undeclared = {
        package: sorted(files)
        for package, files in imported.items()
        if not direct & {canonicalize_name(name) for name in providers.get(package, [package])}
    }
    assert undeclared == {}
