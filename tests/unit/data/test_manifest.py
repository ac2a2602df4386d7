"""What tells that shards are not as they were packed, and what becomes of them then."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gram.cli import app
from gram.data.clip_index import read_index
from gram.data.manifest import MANIFEST, check_sizes, chunk_index, read_manifest
from gram.lease import lease_of
from tests.unit.data.made_shards import MadeClip, change, cut, make_index, remove

CLIPS = [MadeClip(clip_id=f"clip{number}") for number in range(3)]
SHARD = "0001-000.tar"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of three shards."""
    return make_index(tmp_path, CLIPS, chunks=3).parent


INDEXES = ["index.parquet", "0001.parquet"]


def verify(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["shards", "verify", str(folder), *options])


DAMAGE = {
    cut: "it had",
    change: "has changed since it was packed, its SHA-256 is another one",
    remove: "is not there",
}
"""Ways to damage a shard, and what is said then."""


# --- before clips are read -----------------------------------------------------------------------


@pytest.mark.parametrize("damage", [cut, remove])
def test_an_index_is_not_read_where_a_shard_has_another_size(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder / SHARD)
    said = (
        rf"the shard .*{SHARD} (has \d+ bytes|is not there).*run `gram shards verify .* --discard"
    )
    with pytest.raises(ValueError, match=said):
        read_index(folder / "index.parquet")


def test_all_shards_of_another_size_are_counted(folder: Path) -> None:
    for shard in sorted(folder.glob("*.tar"))[:2]:
        remove(shard)
    with pytest.raises(ValueError, match=r"0000-000\.tar is not there \(and 1 others\); run"):
        check_sizes(folder)


def test_sizes_of_whole_shards_are_right(folder: Path) -> None:
    check_sizes(folder)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"shards": []}', '{"shards": [{"shard": "a.tar"}], "indexes": []}']
)
def test_a_manifest_of_another_form_is_named(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.json is not a manifest of shards .*delete it"):
        read_manifest(folder)


def test_the_index_of_the_chunk_of_a_shard_is_known() -> None:
    assert chunk_index(Path("x/0003-012.tar")) == Path("x/0003.parquet")


# --- the command ---------------------------------------------------------------------------------


def test_whole_shards_are_verified(folder: Path) -> None:
    done = verify(folder)
    assert done.exit_code == 0
    assert done.output.endswith("3 shards and 4 indexes: 7 whole, 0 damaged or missing; 0 others\n")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_listed_with_what_to_do(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder / SHARD)
    done = verify(folder)
    assert done.exit_code == 1
    assert f"{folder / SHARD} " in done.output
    assert "3 shards and 4 indexes: 6 whole, 1 damaged or missing; 0 others" in done.output
    assert f"run `gram shards verify {folder} --discard`" in done.output


@pytest.mark.parametrize("damage", [change, remove])
def test_what_is_wrong_with_a_shard_is_said(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / SHARD)
    assert f"{SHARD} {DAMAGE[damage]}" in verify(folder).output


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", INDEXES)
def test_a_damaged_index_is_listed_with_what_to_do(
    folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(folder / name)
    done = verify(folder)
    assert done.exit_code == 1
    assert re.search(rf"{folder / name} .*{DAMAGE[damage]}", done.output)
    assert "3 shards and 4 indexes: 6 whole, 1 damaged or missing; 0 others" in done.output
    assert f"run `gram shards verify {folder} --discard`" in done.output


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("index.parquet", ["index.parquet", MANIFEST]),
        ("0001.parquet", ["0001.parquet", "index.parquet", MANIFEST]),
    ],
)
def test_discarding_removes_a_damaged_index_and_what_leads_to_it(
    folder: Path, name: str, removed: list[str]
) -> None:
    before = {path.name for path in folder.iterdir()}
    change(folder / name)
    assert verify(folder, "--discard").exit_code == 1
    assert sorted(before - {path.name for path in folder.iterdir()}) == removed


@pytest.mark.parametrize(
    "name", ["0009-000.tar", "0009.parquet", "notes.txt", ".0001-000.tar.part", "0001-000.tar.bak"]
)
def test_a_file_that_is_not_in_the_manifest_is_listed(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    done = verify(folder)
    assert done.exit_code == 1
    assert f"{name} is not in the manifest" in done.output
    assert "3 shards and 4 indexes: 7 whole, 0 damaged or missing; 1 others" in done.output


def test_a_folder_among_the_shards_is_listed(folder: Path) -> None:
    (folder / "old").mkdir()
    done = verify(folder)
    assert done.exit_code == 1
    assert f"{folder / 'old'} is not in the manifest" in done.output


def test_the_lease_of_a_job_is_no_other_file(folder: Path) -> None:
    lease_of(folder / "0001.parquet").write_text("{}")
    assert verify(folder).exit_code == 0


def test_verifying_removes_nothing(folder: Path) -> None:
    change(folder / SHARD)
    before = sorted(folder.iterdir())
    verify(folder)
    assert sorted(folder.iterdir()) == before


def test_discarding_removes_a_damaged_shard_and_what_leads_to_it(folder: Path) -> None:
    change(folder / SHARD)
    (folder / "0009-000.tar").write_bytes(b"not ours to remove")
    done = verify(folder, "--discard")
    assert done.exit_code == 1
    assert f"removed {folder / SHARD}" in done.output
    assert sorted(path.name for path in folder.iterdir()) == [
        "0000-000.tar",
        "0000.parquet",
        "0002-000.tar",
        "0002.parquet",
        "0009-000.tar",
    ]


def test_discarding_leaves_whole_shards_alone(folder: Path) -> None:
    before = sorted(folder.iterdir())
    assert verify(folder, "--discard").exit_code == 0
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_manifest_is_named(tmp_path: Path, name: str) -> None:
    done = verify(tmp_path / name)
    assert done.exit_code == 2
    assert "no manifest.json in" in done.output
    assert "give a folder of shards" in done.output


@pytest.mark.parametrize(("kind", "name"), [("shards", "shard"), ("indexes", "file")])
def test_a_manifest_lists_no_file_elsewhere(folder: Path, kind: str, name: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest[kind][0][name] = f"../../{manifest[kind][0][name]}"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="is not a manifest of shards"):
        read_manifest(folder)
