"""What is fetched from others: from a server on this machine, by whole runs of the workflow."""

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gram.data.media_files import chunk_of
from gram.data.tables import Row, read_rows
from tests.unit.fetch.served import Asked, Reply, Server, serve

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
Planned = Callable[..., dict[str, int]]

FETCH = {"pause_seconds": 0, "pause_between_requests_seconds": 0, "tries": 0}
ALL = {"sources": ["web_annotations"], "clips": "web_clips", **FETCH}
PROBES = [f"results/probe/own/{chunk:04d}.parquet" for chunk in range(2)]
TABLES = [f"results/fetched/own/{chunk:04d}.parquet" for chunk in range(2)]
STATED = {"dataset": "own", "what": "something", "license": "none"}


class Web:
    """A server that has what a data set is made of, and a tree that has nothing of it."""

    def __init__(self, tree: Path) -> None:
        """Move the clips of a tree to the server."""
        self.tree = tree
        own = tree / "data/own"
        text = (own / "annotations.json").read_bytes()
        self.media = {path.stem: path.read_bytes() for path in (own / "media").glob("*.mp4")}
        self.ids = sorted(self.media)
        shutil.rmtree(own)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("deep/annotations.json", text)
        self.annotations = text
        self.packed = packed.getvalue()
        self.codes: dict[str, int] = {}

    def answer(self, asked: Asked) -> Reply:
        """Answer as the codes say, or give the file."""
        name = asked.path.strip("/")
        stem = name.removesuffix(".mp4")
        if stem in self.codes:
            return Reply(code=self.codes[stem])
        if name == "annotations.zip":
            return Reply(content=self.packed)
        return Reply(content=self.media[stem], headers={"Content-Type": "video/mp4"})

    def write_sources(self, server: Server) -> None:
        """Write the tree's table of sources, of which each is at the server."""
        archive = {"url": server.at("annotations.zip"), "file": "annotations.zip"}
        sources = {
            "web_annotations": {
                "kind": "http",
                "role": "annotations",
                "members": ["annotations.json"],
                **archive,
            },
            "web_clips": {
                "kind": "site",
                "role": "clips",
                "url": server.at("{id}.mp4"),
                "pattern": "(?P<id>.+)",
            },
            "lent_videos": {
                "kind": "hand",
                "role": "videos",
                "url": server.at("form"),
                "how": "ask for it",
                "file": "lent.zip",
            },
        }
        table = {"sources": {name: {**STATED, **one} for name, one in sources.items()}}
        (self.tree / "config/sources.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")


def overlay(**fetch: object) -> dict[str, Any]:
    return {"datasets": {"own": {"fetch": fetch}}}


def rows_of(tree: Path, tables: list[str]) -> dict[str, Row]:
    rows = [row for table in tables for row in read_rows(tree / table)]
    return {row["source_id"]: row for row in rows}


def asked_for(server: Server) -> set[str]:
    """Name what the server was asked for since the last call."""
    names = {one.path.strip("/").removesuffix(".mp4") for one in server.asked}
    server.asked.clear()
    return names


@pytest.fixture(scope="module")
def web(new_tree: Callable[[], Path]) -> Iterator[tuple[Web, Server]]:
    """Give a tree that knows where its clips are, one of which is gone and one refused."""
    served = Web(new_tree())
    served.codes = {served.ids[0]: 404, served.ids[1]: 429}
    with serve(served.answer) as server:
        served.write_sources(server)
        yield served, server


@pytest.fixture(scope="module")
def fetched(web: tuple[Web, Server], run_snakemake: Run) -> tuple[Web, Server]:
    """Give the tree after a run that fetched and probed."""
    done = run_snakemake(web[0].tree, *PROBES, overlay=overlay(**ALL))
    assert done.returncode == 0, done.stdout
    return web


def test_what_the_settings_do_not_name_is_not_fetched(
    web: tuple[Web, Server], run_snakemake: Run
) -> None:
    done = run_snakemake(web[0].tree, *PROBES, "--dry-run")
    assert "annotation file data/own/annotations.json is not there" in " ".join(done.stdout.split())
    assert done.returncode != 0


def test_a_source_that_is_not_in_the_table_is_named(
    web: tuple[Web, Server], run_snakemake: Run
) -> None:
    done = run_snakemake(web[0].tree, "--dry-run", overlay=overlay(sources=["wbe"]))
    assert (
        "datasets.own.fetch.sources names the source 'wbe', which is not in config/sources.yaml; "
        "found: lent_videos, web_annotations, web_clips"
    ) in " ".join(done.stdout.split())


def test_everything_that_is_named_is_planned(
    new_tree: Callable[[], Path], planned_rules: Planned
) -> None:
    tree = new_tree()
    shutil.rmtree(tree / "data/own")
    served = overlay(sources=["msrvtt_test", "msrvtt_videos"], clips="vatex_clips")
    served["datasets"]["own"]["annotations"] = dict.fromkeys(
        ("train", "test"), "data/own/descs_ret_test.json"
    )
    expected = {
        "fetch_source": 2,
        "place_annotation": 1,
        "make_clips": 1,
        "fetch_clips": 2,
    }
    planned = planned_rules(tree, "fetch", overlay=served)
    assert {rule: count for rule, count in planned.items() if rule != "fetch"} == expected


def test_annotations_come_out_of_their_archive(fetched: tuple[Web, Server]) -> None:
    served, _ = fetched
    own = served.tree / "data/own"
    assert (own / "annotations.json").read_bytes() == served.annotations
    receipt = json.loads((served.tree / "results/sources/web_annotations.json").read_text())
    assert receipt["files"] == ["annotations.json"]
    assert receipt["bytes"] == len(served.packed)


def test_clips_come_and_the_others_keep_status_stage_and_reason(
    fetched: tuple[Web, Server],
) -> None:
    served, _ = fetched
    rows = rows_of(served.tree, PROBES)
    found = {name: (rows[name]["status"], rows[name]["stage"]) for name in served.ids}
    assert found == {
        **dict.fromkeys(served.ids, ("ok", None)),
        served.ids[0]: ("dead", "fetch"),
        served.ids[1]: ("throttled", "fetch"),
    }
    assert "HTTP Error 404" in rows[served.ids[0]]["reason"]
    assert "HTTP Error 429" in rows[served.ids[1]]["reason"]


def test_a_second_start_fetches_nothing(
    fetched: tuple[Web, Server], planned_rules: Planned
) -> None:
    assert planned_rules(fetched[0].tree, *PROBES, overlay=overlay(**ALL)) == {}


def test_a_retry_asks_for_what_was_refused_and_for_nothing_else(
    fetched: tuple[Web, Server], run_snakemake: Run, planned_rules: Planned
) -> None:
    served, server = fetched
    gone, refused = served.ids[:2]
    asked_for(server)
    assert run_snakemake(served.tree, "retry_fetch", overlay=overlay(**ALL)).returncode == 0
    assert planned_rules(served.tree, *PROBES, overlay=overlay(**ALL)) == {
        "fetch_clips": 1,
        "probe_media": 1,
    }
    del served.codes[refused]
    done = run_snakemake(served.tree, *PROBES, overlay=overlay(**ALL))
    assert done.returncode == 0, done.stdout
    assert asked_for(server) == {refused}
    rows = rows_of(served.tree, TABLES)
    assert (rows[refused]["status"], rows[refused]["tries"]) == ("ok", 2)
    assert (rows[gone]["status"], rows[gone]["tries"]) == ("dead", 1)
    assert rows_of(served.tree, PROBES)[refused]["status"] == "ok"


def test_a_file_that_is_changed_afterwards_is_probed_again(
    fetched: tuple[Web, Server], planned_rules: Planned
) -> None:
    path = fetched[0].tree / f"data/own/media/{fetched[0].ids[-1]}.mp4"
    path.write_bytes(path.read_bytes() + b"x")
    assert planned_rules(fetched[0].tree, *PROBES, overlay=overlay(**ALL)) == {"probe_media": 1}


def test_a_clip_that_joins_the_annotations_is_fetched_by_its_chunk_alone(
    fetched: tuple[Web, Server], run_snakemake: Run
) -> None:
    served, server = fetched
    own = served.tree / "data/own/annotations.json"
    before = [(served.tree / table).stat().st_mtime_ns for table in TABLES]
    served.media["joins"] = served.media[served.ids[-1]]
    records = json.loads(own.read_text())
    own.write_text(json.dumps([*records, {**records[-1], "video_id": "joins"}]))
    asked_for(server)
    done = run_snakemake(served.tree, *PROBES, overlay=overlay(**ALL))
    assert done.returncode == 0, done.stdout
    assert asked_for(server) == {"joins"}
    after = [(served.tree / table).stat().st_mtime_ns for table in TABLES]
    changed = [chunk for chunk in range(2) if before[chunk] != after[chunk]]
    assert changed == [chunk_of("joins", 2)]
    assert rows_of(served.tree, PROBES)["joins"]["status"] == "ok"


# --- by hand -------------------------------------------------------------------------------------


def test_an_own_annotation_file_is_not_fetched_over(
    new_tree: Callable[[], Path], planned_rules: Planned
) -> None:
    tree = new_tree()
    table = {
        "web_annotations": {
            **STATED,
            "kind": "http",
            "role": "annotations",
            "url": "http://127.0.0.1:9/annotations.json",
            "file": "annotations.json",
        }
    }
    (tree / "config/sources.yaml").write_text(yaml.safe_dump({"sources": table}))
    planned = planned_rules(tree, *PROBES, overlay=overlay(sources=["web_annotations"]))
    assert planned == {"make_clips": 1, "probe_media": 2}


def test_what_is_to_be_done_by_hand_is_said_and_the_rest_goes_on(
    new_tree: Callable[[], Path], run_snakemake: Run
) -> None:
    tree = new_tree()
    served = Web(tree)
    with serve(served.answer) as server:
        served.write_sources(server)
        by_hand = overlay(sources=["web_annotations", "lent_videos"])
        done = run_snakemake(tree, *PROBES, "--keep-going", overlay=by_hand)
        assert done.returncode != 0
        page = tree / "data/sources/lent_videos/lent.zip.how-to-get-it.txt"
        assert "put it at    data/sources/lent_videos/lent.zip" in page.read_text()
        assert "The source lent_videos has to be put in place by hand." in done.stdout
        assert server.at("form") in done.stdout
        assert (tree / "results/clips/own.parquet").is_file()
        assert not (tree / PROBES[0]).exists()

        with zipfile.ZipFile(page.with_name("lent.zip"), "w") as archive:
            for name, content in served.media.items():
                archive.writestr(f"all/{name}.mp4", content)
        done = run_snakemake(tree, *PROBES, overlay=by_hand)
        assert done.returncode == 0, done.stdout
    assert {row["status"] for row in rows_of(tree, PROBES).values()} == {"ok"}
    assert not page.exists()
    assert {chunk_of(name, 2) for name in served.ids} == {0, 1}
