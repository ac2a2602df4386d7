from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gram.cli import app
from gram.config.sources import HandSource, HttpSource
from gram.fetch.report import choose_sources
from tests.unit.fetch.served import Asked, Reply, Server, serve

STATED = {"dataset": "own", "what": "some sentences", "license": "CC0"}
TEXT = b'[{"video_id": "a", "desc": "a dog"}]'


@pytest.fixture
def server() -> Iterator[Server]:
    def answer(asked: Asked) -> Reply:
        return Reply(content=TEXT) if asked.path == "/a.json" else Reply(code=404)

    with serve(answer) as running:
        yield running


def http(server: Server, file: str, *, role: str = "annotations") -> dict[str, object]:
    return {**STATED, "kind": "http", "role": role, "url": server.at(file), "file": file}


def hand() -> dict[str, object]:
    page = {"url": "https://example.org/[form]", "how": "sign it", "file": "c.zip"}
    return {**STATED, "kind": "hand", "role": "videos", **page}


def run(folder: Path, sources: dict[str, object], *arguments: str) -> tuple[int, str]:
    """Run `gram fetch`; give its exit status and its words."""
    table = folder / "sources.yaml"
    table.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
    given = ["fetch", *arguments, "--to", str(folder / "to"), "--table", str(table)]
    done = CliRunner().invoke(app, given, env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_what_came_is_told(server: Server, tmp_path: Path) -> None:
    code, said = run(tmp_path, {"texts": http(server, "a.json")}, "own")
    assert code == 0
    assert "texts: came" in said
    assert (tmp_path / "to/texts/a.json").read_bytes() == TEXT
    code, said = run(tmp_path, {"texts": http(server, "a.json")}, "own")
    assert (code, "texts: there" in said) == (0, True)


def test_what_is_missing_costs_itself_and_is_told(server: Server, tmp_path: Path) -> None:
    sources = {"gone": http(server, "b.json"), "lent": hand(), "texts": http(server, "a.json")}
    code, said = run(tmp_path, sources, "own")
    assert code == 1
    assert "gone: failed" in said
    assert "answers 404 Not Found: it is not there" in said
    assert "lent: by hand" in said
    assert "https://example.org/[form]" in said
    assert (tmp_path / "to/texts/a.json").is_file()


def test_only_the_role_that_is_named_is_fetched(server: Server, tmp_path: Path) -> None:
    sources = {"texts": http(server, "a.json"), "ids": http(server, "a.json", role="ids")}
    code, said = run(tmp_path, sources, "own", "--role", "ids")
    assert code == 0
    assert "texts" not in said
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["ids"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("onw",), "no source is of the data set 'onw'; found: own"),
        (("own", "--role", "weights"), "own has no source with the role 'weights'; found: videos"),
    ],
)
def test_what_is_not_in_the_table_is_named(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    code, said = run(tmp_path, {"lent": hand()}, *arguments)
    assert code == 1
    assert words in " ".join(said.split())


def test_a_web_site_is_left_to_the_workflow(tmp_path: Path) -> None:
    site = {
        **STATED,
        "kind": "site",
        "role": "clips",
        "url": "https://example.org/{id}",
        "pattern": "(?P<id>.+)",
    }
    code, said = run(tmp_path, {"site": site}, "own")
    assert code == 0
    assert "site: by the workflow" in said
    assert "datasets.own.fetch.clips: site" in said


def test_sources_are_chosen_by_data_set_and_role(server: Server) -> None:
    texts = HttpSource.model_validate(http(server, "a.json"))
    lent = HandSource.model_validate(hand())
    assert choose_sources({"a": texts, "b": lent}, "own", role="videos") == {"b": lent}
