"""Mistakes of users: each ends the workflow, with what was wrong, what was found and what to do."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

INDEX = "results/shards/own/index.parquet"
DOTS = "results/clips/dots.parquet"
EXTRACTED = "results/extracted/own/0000.parquet"


@pytest.fixture
def tree(new_tree: Callable[[], Path]) -> Path:
    """Give a tree in which nothing has run."""
    return new_tree()


@pytest.fixture(scope="module")
def without_ffmpeg(new_tree: Callable[[], Path], run_snakemake: Run) -> tuple[Path, Done]:
    """Give a tree where an extraction found no ffmpeg, and how it ended."""
    tree = new_tree()
    return tree, run_snakemake(tree, EXTRACTED, environment={"GRAM_FFMPEG": "/nowhere"})


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of its own that has room for next to nothing."""
    folder = tmp_path / "full"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can only be mounted by root")
    command = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def flat(text: str) -> str:
    """Join the lines of a message, which may be broken anywhere."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("overlay", "place"),
    [
        pytest.param({"defaults": {"los": {"temperature": 0.1}}}, "defaults.los", id="section"),
        pytest.param(
            {"defaults": {"loss": {"temprature": 0.1}}}, "defaults.loss.temprature", id="setting"
        ),
        pytest.param({"extractoin": {"short_side": 64}}, "extractoin", id="top"),
        pytest.param({"datasets": {"own": {"medai": "x"}}}, "own.folder.medai", id="data_set"),
    ],
)
def test_an_unknown_setting_is_named_with_its_place(
    overlay: dict[str, Any], place: str, tree: Path, run_snakemake: Run
) -> None:
    done = run_snakemake(tree, "--dry-run", overlay=overlay)
    assert done.returncode != 0
    assert f"{place}: there is no such setting; correct the name or take it out" in done.stdout


def test_a_run_that_is_not_there_is_named(tree: Path, run_snakemake: Run) -> None:
    rows = [{"run": "volumes", "benchmark": "own"}]
    done = run_snakemake(tree, "--dry-run", overlay={"tables": {"demo": {"rows": rows}}})
    assert done.returncode != 0
    assert (
        "tables.demo names the run 'volumes', which is not there; found: cosine, gram_tv, "
        "gram_tva, gram_tvas, gram_tvasd, released_tvas, released_tvasd, volume"
    ) in flat(done.stdout)


def test_a_message_on_settings_holds_no_dump_and_no_address(tree: Path, run_snakemake: Run) -> None:
    rows = [{"run": "volumes", "benchmark": "own"}]
    done = run_snakemake(tree, "--dry-run", overlay={"tables": {"demo": {"rows": rows}}})
    assert "the settings cannot be used: tables.demo names" in flat(done.stdout)
    assert [word for word in ("pydantic", "input_value") if word in done.stdout] == []


def test_an_absent_annotation_file_is_named(tree: Path, run_snakemake: Run) -> None:
    (tree / "data/own/annotations.json").unlink()
    done = run_snakemake(tree, "--dry-run")
    assert done.returncode != 0
    assert (
        "annotation file data/own/annotations.json is not there (datasets.own.annotations.test); "
        "put it there, or change that setting"
    ) in flat(done.stdout)


def test_an_absent_annotation_file_ends_its_own_data_set_alone(
    tree: Path, run_snakemake: Run
) -> None:
    (tree / "data/own/annotations.json").unlink()
    done = run_snakemake(tree, INDEX, DOTS, "--keep-going")
    assert done.returncode != 0
    assert (
        "find_annotations own: the annotation file data/own/annotations.json is not there (looked "
        f"for {tree}/data/own/annotations.json); put it there, or correct"
    ) in flat(done.stdout)
    assert (tree / DOTS).exists()
    assert not (tree / "results/clips/own.parquet").exists()


def test_an_absent_file_of_several_is_named(tree: Path, run_snakemake: Run) -> None:
    files = ["data/own/annotations.json", "data/own/list.txt"]
    own = {"format": "vatex", "annotations": {"test": files}}
    done = run_snakemake(tree, "--dry-run", overlay={"datasets": {"own": own}})
    assert done.returncode != 0
    assert "annotation file data/own/list.txt is not there (datasets.own.annotations.test)" in flat(
        done.stdout
    )


def test_annotations_of_another_data_set_end_the_reading(tree: Path, run_snakemake: Run) -> None:
    done = run_snakemake(tree, INDEX, overlay={"datasets": {"own": {"format": "vatex"}}})
    assert done.returncode != 0
    said = flat(done.stdout)
    assert (
        "make_clips own: data/own/annotations.json is no annotation file of VATEX that is known: "
        "found a list of 6, the first an object with the keys video_id, desc"
    ) in said
    assert not (tree / "results/clips/own.parquet").exists()


def test_an_absent_media_folder_is_named(tree: Path, run_snakemake: Run) -> None:
    shutil.rmtree(tree / "data/own/media")
    done = run_snakemake(tree, "--dry-run")
    assert done.returncode != 0
    assert "the media folder data/own/media is not there" in flat(done.stdout)


def test_an_absent_media_folder_ends_its_own_data_set_alone(tree: Path, run_snakemake: Run) -> None:
    """The others go on where that is asked for; the failing job says what to do."""
    shutil.rmtree(tree / "data/own/media")
    done = run_snakemake(
        tree, INDEX, DOTS, "--keep-going", overlay={"datasets": {"own": {"chunks": 3}}}
    )
    assert done.returncode != 0
    assert (
        f"find_media own: the media folder data/own/media is not there (looked for {tree}/data/own/"
        "media); put the files there, or correct datasets.<name>.media"
    ) in flat(done.stdout)
    assert done.stdout.count("find_media own:") == 1
    assert (tree / DOTS).exists()
    assert not (tree / INDEX).exists()
    assert not (tree / "results/probe/own/0000.parquet").exists()


def test_an_absent_media_folder_ends_the_workflow_before_any_job(
    tree: Path, run_snakemake: Run
) -> None:
    shutil.rmtree(tree / "data/own/media")
    done = run_snakemake(tree, INDEX, DOTS)
    assert done.returncode != 0
    assert "datasets.own.media: the media folder data/own/media is not there" in flat(done.stdout)
    assert not (tree / "results/generated").exists()


@pytest.mark.parametrize(
    ("name", "failing", "left"),
    [
        ("media", "find_media", None),
        ("media", "find_media", Path.mkdir),
        ("annotations.json", "find_annotations", None),
    ],
    ids=["gone", "unmounted", "annotations"],
)
def test_tables_outlive_files_that_are_away(
    name: str,
    failing: str,
    left: Callable[[Path], None] | None,
    own_tree: Path,
    run_snakemake: Run,
) -> None:
    """A disk that is not mounted leaves an empty folder; nothing is made again when it is back."""
    place, elsewhere = own_tree / "data/own" / name, own_tree / "elsewhere"
    place.rename(elsewhere)
    if left is not None:
        left(place)
    done = run_snakemake(own_tree, "--keep-going")
    assert done.returncode != 0
    assert f"{failing} own: " in flat(done.stdout)
    for table in ("clips/own.parquet", "probe/own/0000.parquet"):
        assert (own_tree / "results" / table).exists(), table
    if left is not None:
        place.rmdir()
    elsewhere.rename(place)
    done = run_snakemake(own_tree, "--keep-going")
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_an_empty_media_folder_ends_the_probing(tree: Path, run_snakemake: Run) -> None:
    shutil.rmtree(tree / "data/own/media")
    (tree / "data/own/media").mkdir()
    done = run_snakemake(tree, INDEX)
    assert done.returncode != 0
    assert "no media file in data/own/media: found nothing, and looked in" in flat(done.stdout)
    assert not (tree / "results/probe/own/0000.parquet").exists()


def test_an_absent_ffmpeg_ends_the_extraction(without_ffmpeg: tuple[Path, Done]) -> None:
    tree, done = without_ffmpeg
    assert done.returncode != 0
    assert (
        "extract_clips own 0000: GRAM_FFMPEG is '/nowhere', which is not a file; set it to the "
        "path of the ffmpeg program, or unset it"
    ) in flat(done.stdout)
    assert not (tree / EXTRACTED).exists()


def test_a_message_names_the_log_that_has_the_rest(without_ffmpeg: tuple[Path, Done]) -> None:
    tree, done = without_ffmpeg
    log = "logs/extract_clips/own/0000.log"
    assert f"The whole log: {log}" in done.stdout
    assert "Traceback" in (tree / log).read_text(encoding="utf-8")


def test_an_absent_ffmpeg_ends_the_generation(tree: Path, run_snakemake: Run) -> None:
    wanted = "results/generated/dots/annotations/0000.json"
    done = run_snakemake(tree, wanted, environment={"GRAM_FFMPEG": "/nowhere"})
    assert done.returncode != 0
    assert "generate_clips dots 0000: GRAM_FFMPEG is '/nowhere', which is not a file" in flat(
        done.stdout
    )


def test_a_full_disk_ends_the_extraction(tree: Path, full_disk: Path, run_snakemake: Run) -> None:
    probed = run_snakemake(tree, "results/probe/own/0000.parquet")
    assert probed.returncode == 0, probed.stdout
    place = f"tmpdir='{full_disk}'"
    done = run_snakemake(tree, EXTRACTED, "--default-resources", place)
    assert done.returncode != 0
    said = flat(done.stdout)
    assert f"extract_clips own 0000: [Errno 28] no space to write in {full_disk}" in said
    assert "set TMPDIR" in said
    assert not (tree / EXTRACTED).exists()


def test_a_repeated_clip_id_ends_the_reading(tree: Path, run_snakemake: Run) -> None:
    path = tree / "data/own/annotations.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([*records, records[0] | {"desc": "another"}]), encoding="utf-8")
    done = run_snakemake(tree, INDEX)
    assert done.returncode != 0
    said = flat(done.stdout)
    assert "make_clips own: 1 clip ids occur more than once" in said
    assert records[0]["video_id"] in said
    assert not (tree / "results/clips/own.parquet").exists()


def test_no_usable_clip_ends_the_indexing(tree: Path, run_snakemake: Run) -> None:
    for path in (tree / "data/own/media").glob("*.mp4"):
        path.write_bytes(b"")
    done = run_snakemake(tree, INDEX)
    assert done.returncode != 0
    assert "6 of 6 clips of own cannot be used, none is left" in flat(done.stdout)
    assert not (tree / INDEX).exists()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("annotations.json", "annotation file data/own/annotations.json is not there"),
        ("media", "the media folder data/own/media is not there"),
    ],
)
def test_what_went_away_after_a_finished_run_is_named(
    path: str, said: str, own_tree: Path, run_snakemake: Run
) -> None:
    (own_tree / "data/own" / path).rename(own_tree / "elsewhere")
    done = run_snakemake(own_tree, "--dry-run")
    assert done.returncode != 0
    assert said in flat(done.stdout)
    (own_tree / "elsewhere").rename(own_tree / "data/own" / path)
    done = run_snakemake(own_tree)
    assert done.returncode == 0, "the folder is locked, or something is made again"
    assert "Nothing to be done" in done.stdout
