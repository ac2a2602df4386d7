"""The documents: their Python runs as it stands, and their links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def programs() -> Iterator[object]:
    for path in DOCUMENTS:
        for number, code in enumerate(PYTHON.findall(path.read_text(encoding="utf-8"))):
            yield pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")


def links() -> Iterator[object]:
    for path in DOCUMENTS:
        text = FENCED.sub("", path.read_text(encoding="utf-8"))
        for link in dict.fromkeys(LINK.findall(text)):
            if "://" not in link:
                yield pytest.param(path, link, id=f"{path.relative_to(ROOT)}-{link}")


def anchors(path: Path) -> set[str]:
    """Give the names by which the headings of a document are linked to."""
    headings = HEADING.findall(FENCED.sub("", path.read_text(encoding="utf-8")))
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("code", list(programs()))
def test_a_program_of_a_document_runs(code: str) -> None:
    exec(compile(code, "document", "exec"), {"__name__": "document"})  # noqa: S102 - our own


@pytest.mark.parametrize(("path", "link"), list(links()))
def test_a_link_of_a_document_leads_somewhere(path: Path, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = path if not name else (path.parent / name).resolve()
    assert target.exists(), f"{target} is not there"
    if anchor:
        assert anchor in anchors(target)
