"""The tree: what ARCHITECTURE.md lists, how long files and functions are, what no file may hold."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_BYTES = 500_000
BINARY = {".safetensors", ".png", ".npy", ".mp4", ".parquet"}
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(?:" + "|".join(("work", "root", "home")) + r")\b/?")
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")


def files_of_the_project() -> list[str]:
    """Name every file that is in git, or would be by `git add`."""
    listed = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    names = sorted(set(listed.split("\0")) - {""})
    return [name for name in names if (ROOT / name).is_symlink() or (ROOT / name).is_file()]


FILES = files_of_the_project()
PYTHON = [name for name in FILES if name.endswith(".py")]
CODE = [name for name in FILES if name.endswith((".py", ".smk")) or name == "Snakefile"]
TEXT = [
    name for name in FILES if Path(name).suffix not in BINARY and not (ROOT / name).is_symlink()
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def listed_in_architecture() -> tuple[set[str], set[str]]:
    """Read the file list of ARCHITECTURE.md: the paths of files, and of folders listed as one.

    The list is the fenced block whose first line is ``.``. Two blanks more of indentation is one
    folder deeper; a name that ends in ``/`` is a folder, and stands for all that is in it when
    nothing is listed below it; two or more blanks end the names and begin the description.
    """
    (block,) = re.findall(
        r"^```\w*\n\.\n(.*?)^```", read("ARCHITECTURE.md"), re.DOTALL | re.MULTILINE
    )
    entries = [
        (len(line) - len(line.lstrip()), name)
        for line in block.splitlines()
        if line.strip()
        for name in re.split(r"\s{2,}| -> ", line.strip())[0].split()
    ]
    files: set[str] = set()
    folders: set[str] = set()
    parents: list[tuple[int, str]] = []
    for position, (indent, name) in enumerate(entries):
        while parents and parents[-1][0] >= indent:
            parents.pop()
        path = (parents[-1][1] if parents else "") + name
        if not name.endswith("/"):
            files.add(path)
            continue
        following = entries[position + 1][0] if position + 1 < len(entries) else 0
        if following > indent:
            parents.append((indent, path))
        else:
            folders.add(path)
    return files, folders


def functions(name: str) -> Iterator[tuple[str, int]]:
    """Give name and number of lines of each function of a Python file."""
    for node in ast.walk(ast.parse(read(name))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name}: {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_the_project_has_files() -> None:
    assert len(PYTHON) > 50
    assert {"Snakefile", "pyproject.toml", "gram/volume/__init__.py"} <= set(FILES)


def test_architecture_lists_every_file() -> None:
    files, folders = listed_in_architecture()
    assert len(files) > 30
    assert [
        name for name in FILES if name not in files and not name.startswith(tuple(folders))
    ] == []


def test_architecture_lists_no_file_that_is_absent() -> None:
    files, folders = listed_in_architecture()
    absent = {name for name in files if name not in FILES}
    absent |= {folder for folder in folders if not any(name.startswith(folder) for name in FILES)}
    assert absent == set()


def test_architecture_lists_every_rule() -> None:
    texts = [read(name) for name in FILES if name.endswith(".smk") or name == "Snakefile"]
    rules = {
        name
        for text in texts
        for name in re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE)
    }
    (table,) = re.findall(
        r"^\| rule \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", read("ARCHITECTURE.md"), re.MULTILINE
    )
    listed = re.findall(r"^\| (\w+) \|", table, re.MULTILINE)
    assert len(listed) >= 17
    assert sorted(listed) == sorted(rules)


@pytest.mark.parametrize("name", CODE)
def test_a_file_can_be_read_whole(name: str) -> None:
    assert len(read(name).splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("name", PYTHON)
def test_functions_can_be_read_whole(name: str) -> None:
    assert [where for where, lines in functions(name) if lines > MAX_FUNCTION_LINES] == []


@pytest.mark.parametrize("name", TEXT)
def test_a_file_holds_no_path_of_one_machine(name: str) -> None:
    assert MACHINE_PATH.findall(read(name)) == []


@pytest.mark.parametrize("name", TEXT)
def test_a_file_holds_nothing_unfinished(name: str) -> None:
    assert UNFINISHED.findall(read(name)) == []


def test_no_file_is_large() -> None:
    large = [
        name
        for name in FILES
        if not name.startswith("tests/data/golden/") and (ROOT / name).lstat().st_size > MAX_BYTES
    ]
    assert large == []


@pytest.mark.parametrize("name", [name for name in PYTHON if not name.startswith("tests/")])
def test_a_python_file_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(ast.parse(read(name)))
