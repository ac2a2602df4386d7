"""Clotho's sounds and Flickr30k's pictures through the whole workflow, to recalls with counts."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.unit.data.made_media import make_media

TRAIN, TEST = 4, 3
LOST = "gone"
"""A sound of the test split that nobody has."""

PROTOCOL = {"split": "test", "captions": "all"}
TRAINING = {"split": "train", "steps": 2, "batch_size": 2}
OVERLAY: dict[str, Any] = {
    "targets": ["stills"],
    "datasets": {
        "clotho": {
            "kind": "folder",
            "format": "clotho",
            "media": "data/clotho/sounds",
            "annotations": {split: f"data/clotho/{split}.csv" for split in ("train", "test")},
        },
        "flickr30k": {
            "kind": "folder",
            "format": "flickr30k",
            "media": "data/flickr30k/pictures",
            "annotations": dict.fromkeys(("train", "test"), "data/flickr30k/dataset.json"),
        },
    },
    "benchmarks": {
        "clotho": {"dataset": "clotho", "protocol": PROTOCOL},
        "flickr30k": {"dataset": "flickr30k", "protocol": PROTOCOL},
    },
    "runs": {
        "ta": {
            "model": {"modalities": ["audio"]},
            "pretrain_dataset": "clotho",
            "pretrain": TRAINING,
            "evaluation": {"scores": ["volume", "cosine_audio"]},
            "inputs": {"missing": "drop"},
        },
        "tv": {
            "model": {"modalities": ["video"]},
            "pretrain_dataset": "flickr30k",
            "pretrain": TRAINING,
            "evaluation": {"scores": ["volume", "cosine_video"]},
            "inputs": {"missing": "drop"},
        },
        "masked": {
            "start": "ta",
            "model": {"modalities": ["video", "audio"]},
            "pretrain_dataset": "flickr30k",
            "pretrain": TRAINING,
            "evaluation": {"scores": ["volume"]},
            "inputs": {"missing": "mask"},
        },
    },
    "tables": {
        "stills": {
            "title": "Sounds and pictures",
            "rows": [
                {"run": "ta", "benchmark": "clotho", "score": "volume"},
                {"run": "tv", "benchmark": "flickr30k", "score": "volume"},
                {"run": "masked", "benchmark": "clotho", "score": "volume"},
                {"run": "masked", "benchmark": "flickr30k", "score": "volume"},
            ],
        }
    },
}

Run = Callable[..., Any]


def captions_of(what: str) -> list[str]:
    return [f"caption {number} of {what}" for number in range(5)]


def make_sounds(folder: Path) -> None:
    """Make Clotho in its owners' form: a file of captions for each split, and wav files."""
    for split, number in (("train", TRAIN), ("test", TEST)):
        names = [f"{split} sound {n}.wav" for n in range(number)]
        for n, name in enumerate(names):
            make_media(folder / "sounds" / name, picture=None, sound=f"sine={300 + 100 * n}:d=1")
        listed = [*names, f"{LOST}.wav"] if split == "test" else names
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", *(f"caption_{n}" for n in range(1, 6))])
            writer.writerows([name, *captions_of(name)] for name in listed)


def make_pictures(folder: Path) -> None:
    """Make Flickr30k in Karpathy's form: one file of all splits, and JPEG files."""
    images = []
    for n in range(TRAIN + TEST):
        name = f"{1000 + n}.jpg"
        picture = f"color=0x{n * 30:02x}{255 - n * 30:02x}80:s=64x48"
        options = ("-frames:v", "1", "-update", "1")
        make_media(folder / "pictures" / name, *options, picture=picture, sound=None, codec=())
        sentences = [{"raw": text} for text in captions_of(name)]
        split = "train" if n < TRAIN else "test"
        images.append({"filename": name, "split": split, "sentences": sentences})
    content = {"dataset": "flickr30k", "images": images}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def tree(new_tree: Callable[[], Path], run_snakemake: Run) -> Path:
    """Give a tree in which the table of sounds and pictures was made."""
    tree = new_tree()
    make_sounds(tree / "data/clotho")
    make_pictures(tree / "data/flickr30k")
    done = run_snakemake(tree, "stills", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    return tree


def scores(tree: Path, run: str, benchmark: str) -> dict[str, Any]:
    path = tree / f"results/scores/{run}/{benchmark}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def index(tree: Path, dataset: str) -> pd.DataFrame:
    return pd.read_parquet(tree / f"results/shards/{dataset}/index.parquet")


def test_a_shard_of_sounds_holds_sound_alone(tree: Path) -> None:
    rows = index(tree, "clotho")
    usable = rows[rows["status"] == "ok"]
    assert len(usable) == TRAIN + TEST
    assert usable["has_audio"].all()
    assert not usable["has_video"].any()
    assert usable["jpgs_offset"].isna().all()


def test_a_shard_of_pictures_holds_one_frame_each(tree: Path) -> None:
    rows = index(tree, "flickr30k")
    assert (rows["status"] == "ok").all()
    assert rows["jpgs_sizes"].map(len).tolist() == [1] * (TRAIN + TEST)
    assert not rows["has_audio"].any()


def test_what_is_lost_is_counted(tree: Path) -> None:
    manifest = json.loads((tree / "results/shards/clotho/manifest.json").read_text())
    assert [(one["status"], one["clips"]) for one in manifest["unusable"]] == [("not_found", 1)]
    (test,) = [one for one in manifest["splits"] if one["split"] == "test"]
    assert {name: test[name] for name in ("clips", "usable", "video", "audio")} == {
        "clips": TEST + 1,
        "usable": TEST,
        "video": 0,
        "audio": TEST,
    }


COUNTS = {
    ("ta", "clotho"): {"rows": TEST + 1, "unusable": 1, "used": TEST},
    ("tv", "flickr30k"): {"rows": TEST, "unusable": 0, "used": TEST},
    ("masked", "clotho"): {
        "rows": TEST + 1,
        "unusable": 1,
        "used": TEST,
        "used without video": TEST,
    },
    ("masked", "flickr30k"): {
        "rows": TEST,
        "unusable": 0,
        "used": TEST,
        "used without audio": TEST,
    },
}


@pytest.mark.parametrize(("run", "benchmark"), COUNTS)
def test_a_score_says_what_it_is_of(tree: Path, run: str, benchmark: str) -> None:
    assert scores(tree, run, benchmark)["counts"] == COUNTS[run, benchmark]


def test_every_caption_of_every_clip_was_searched(tree: Path) -> None:
    with (tree / "results/tables/stills.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["gallery"]) for row in rows] == [TEST] * 4
    assert [int(row["queries"]) for row in rows] == [5 * TEST] * 4


def test_a_run_that_needs_frames_of_sounds_is_told_why_not(tree: Path, run_snakemake: Run) -> None:
    rows = [{"run": "tv", "benchmark": "clotho", "score": "volume"}]
    overlay = OVERLAY | {"tables": {"stills": {"title": "Sounds", "rows": rows}}}
    done = run_snakemake(tree, "stills", overlay=overlay)
    assert done.returncode != 0
    log = (tree / "logs/embed_benchmark/tv/clotho/test.log").read_text(encoding="utf-8")
    left = (
        "no clip of the split 'test' is left (rows 4, unusable 1, without any modality 3, used 0)"
    )
    assert left in log
    assert "take what they have into model.modalities: none has video" in log
