"""The version of a stage stands for its code: names, files, and a digest that tells of changes."""

import ast
import hashlib
import json
import re
from functools import cache
from pathlib import Path

import pytest

from gram.stages import VERSIONS

ROOT = Path(__file__).parents[2]
GRAM = ROOT / "gram"
DIGESTS = Path(__file__).parent / "stages.json"
RULE = re.compile(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)

DECIDES_NO_RESULT = (
    "workflow.py",  # log, errors, tracking
    "jobs.py",  # which settings a job gets: it gets them in params
    "config",  # likewise
    "files.py",
    "progress.py",
    "tracking",
    "device.py",
    "stages.py",
    "versions.py",
    "types.py",  # names and containers
    "data/status.py",
    "embedding.py",  # what is asked of a model by hand; no stage does
)
"""Below ``gram/``: what a stage may import, and its outputs do not depend on it."""

NOT_IMPORTED = {
    "show_retrieval": ("report/templates",),
    "make_report": ("report/templates",),
    "fetch_clips": ("fetch/site_child.py",),
    "pretrain_model": ("training/worker.py",),
    "finetune_model": ("training/worker.py",),
}
"""Below ``gram/``: what a stage reads, or starts as a process of its own."""


class WithoutDocstrings(ast.NodeTransformer):
    """Takes out every text that stands alone: docstrings, and those below a constant."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Take them out of a body."""
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [part for part in body if not is_text(part)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return node


def is_text(part: ast.AST) -> bool:
    return (
        isinstance(part, ast.Expr)
        and isinstance(part.value, ast.Constant)
        and isinstance(part.value.value, str)
    )


def digest_of_code(text: str) -> str:
    """Give a digest of Python code, blind to comments, docstrings and layout."""
    tree = WithoutDocstrings().visit(ast.parse(text))
    return hashlib.sha256(written_out(tree).encode()).hexdigest()


def written_out(part: object) -> str:
    """Write a syntax tree as text without empty fields, of which Python's versions have others."""
    if isinstance(part, list):
        return f"[{', '.join(written_out(one) for one in part)}]"
    if not isinstance(part, ast.AST):
        return repr(part)
    fields = [
        f"{name}={written_out(value)}"
        for name, value in ast.iter_fields(part)
        if value is not None and value != []
    ]
    return f"{type(part).__name__}({', '.join(fields)})"


def files_of(path: Path) -> list[Path]:
    """List the files of a folder, or the file itself."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def script_of(stage: str) -> Path:
    """Give the script of a stage's rule."""
    return ROOT / "workflow" / "scripts" / f"{stage}.py"


def files_of_stage(stage: str) -> list[Path]:
    """List the files that a stage's outputs depend on, its script among them."""
    started = [GRAM / name for name in NOT_IMPORTED.get(stage, ())]
    behind = closure([script_of(stage), *(file for path in started for file in files_of(path))])
    return sorted({script_of(stage), *behind})


def digest_of_stage(stage: str) -> str:
    """Give a digest of all files of a stage."""
    whole = hashlib.sha256()
    for file in files_of_stage(stage):
        content = file.read_bytes()
        one = (
            digest_of_code(content.decode())
            if file.suffix == ".py"
            else hashlib.sha256(content).hexdigest()
        )
        whole.update(f"{file.relative_to(ROOT).as_posix()} {one}\n".encode())
    return whole.hexdigest()


def rules() -> dict[str, str]:
    """Give the body of every rule of the workflow, by name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk"))]
    return {name: body for text in texts for name, body in RULE.findall(text)}


# --- the digest -------------------------------------------------------------------------------


def test_the_code_of_each_stage_is_that_of_its_version(request: pytest.FixtureRequest) -> None:
    digests = {
        stage: {"version": VERSIONS[stage], "digest": digest_of_stage(stage)}
        for stage in sorted(VERSIONS)
    }
    if request.config.getoption("--write-stages", default=False):
        DIGESTS.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
    written = json.loads(DIGESTS.read_text(encoding="utf-8"))
    changed = [stage for stage in VERSIONS if written.get(stage) != digests[stage]]
    assert not changed, (
        f"code of stage {', '.join(changed)} changed. If its outputs change, raise its version in "
        "gram/stages.py. Then run `pytest tests/contract --write-stages`."
    )


def test_the_digests_are_of_the_stages_that_there_are() -> None:
    assert sorted(json.loads(DIGESTS.read_text(encoding="utf-8"))) == sorted(VERSIONS)


@pytest.mark.parametrize("stage", VERSIONS)
def test_the_digest_of_a_stage_is_of_its_script_too(stage: str) -> None:
    assert script_of(stage).is_file()
    assert script_of(stage) in files_of_stage(stage)


@pytest.mark.parametrize(
    "text",
    [
        "def f(a):\n    # why\n    return a + 1\n",
        'def f(a):\n    """Add."""\n    return a + 1\n',
        '"""A module."""\n\ndef f(\n    a,\n):\n    return (\n        a + 1\n    )\n',
    ],
    ids=["comment", "docstring", "layout"],
)
def test_the_digest_is_blind_to(text: str) -> None:
    assert digest_of_code(text) == digest_of_code("def f(a):\n    return a + 1\n")


@pytest.mark.parametrize(
    "text",
    ["def f(a):\n    return a + 2\n", "def g(a):\n    return a + 1\n", "def f(a):\n    a + 1\n"],
    ids=["number", "name", "statement"],
)
def test_the_digest_sees_another(text: str) -> None:
    assert digest_of_code(text) != digest_of_code("def f(a):\n    return a + 1\n")


def test_a_text_that_is_returned_is_no_docstring() -> None:
    one, other = (f'def f():\n    return "{text}"\n' for text in ("a", "b"))
    assert digest_of_code(one) != digest_of_code(other)


# --- names and files --------------------------------------------------------------------------


def test_there_are_rules() -> None:
    assert len(rules()) >= 15


def test_stages_are_the_rules_that_carry_a_version() -> None:
    carriers = [name for name, body in rules().items() if "stage_version(" in body]
    assert sorted(carriers) == sorted(VERSIONS)


@pytest.mark.parametrize("stage", VERSIONS)
def test_a_rule_carries_the_version_of_its_own_stage(stage: str) -> None:
    assert re.findall(r'stage_version\("(\w+)"\)', rules()[stage]) == [stage]


BESIDE_CLIPS = (
    "generate_clips",
    "fetch_source",
    "place_annotation",
    "make_clips",
    "retry_fetch",
    "find_annotations",
    "find_media",
    "import_weights",
)
"""Stages that no clips table comes before; retry_fetch takes the tables that there are."""
AFTER_CLIPS = [stage for stage in VERSIONS if stage not in BESIDE_CLIPS]


@pytest.mark.parametrize("stage", AFTER_CLIPS)
def test_a_rule_is_looked_at_anew_once_the_clips_are_read(stage: str) -> None:
    assert re.search(r"^        (made=clips_made|clips=clips_of_chunk),$", rules()[stage], re.M)


# --- what is behind a stage -------------------------------------------------------------------


@cache
def imports(path: Path) -> tuple[Path, ...]:
    """Give the files of the package that a file imports, those for type checking left out."""
    found: list[Path] = []
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped |= {id(below) for part in node.body for below in ast.walk(part)}
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "gram":
                module = ROOT.joinpath(*name.split("."))
                found += (
                    file
                    for file in (module.with_suffix(".py"), module / "__init__.py")
                    if file.is_file()
                )
    return tuple(found)


def closure(files: list[Path]) -> set[Path]:
    """Give files of the package and all that they import from it, but what decides no result."""
    waiting = [file for file in files if file.suffix == ".py"]
    seen = {file for file in files if GRAM in file.parents}
    while waiting:
        for file in imports(waiting.pop()):
            name = file.relative_to(GRAM).as_posix()
            is_version = name == "__init__.py"
            if not is_version and file not in seen and not is_below(name, DECIDES_NO_RESULT):
                seen.add(file)
                waiting.append(file)
    return seen


def is_below(name: str, sources: tuple[str, ...]) -> bool:
    return any(name == source or name.startswith(f"{source}/") for source in sources)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("pretrain_model", "training/loop.py"),
        ("pretrain_model", "volume/basis.py"),
        ("pretrain_model", "training/worker.py"),
        ("fetch_clips", "fetch/site_child.py"),
        ("make_report", "report/templates/report.css"),
        ("probe_media", "data/media_facts.py"),
    ],
)
def test_what_is_behind_a_stage_is_found(stage: str, name: str) -> None:
    assert GRAM / name in files_of_stage(stage)


@pytest.mark.parametrize(
    ("stage", "name"), [("pretrain_model", "cli.py"), ("probe_media", "data/extract.py")]
)
def test_what_is_not_behind_a_stage_is_left_out(stage: str, name: str) -> None:
    assert (GRAM / name).is_file()
    assert GRAM / name not in files_of_stage(stage)


def test_all_that_is_named_here_exists() -> None:
    named = [*DECIDES_NO_RESULT, *(name for names in NOT_IMPORTED.values() for name in names)]
    assert [name for name in named if not (GRAM / name).exists()] == []
    assert set(NOT_IMPORTED) <= set(VERSIONS)


@pytest.mark.parametrize("stage", NOT_IMPORTED)
def test_what_is_named_as_not_imported_is_not(stage: str) -> None:
    imported = closure([script_of(stage)])
    assert [name for name in NOT_IMPORTED[stage] if GRAM / name in imported] == []
