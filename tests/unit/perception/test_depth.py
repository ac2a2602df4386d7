import json
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from gram.config import EstimateConfig
from gram.data.status import Status
from gram.data.tables import EXTRACTION, Row, read_rows, write_rows
from gram.data.tars import Archive, add_member, open_archive
from gram.perception.depth import Estimator, estimate_depth
from tests.tiny_models import save_tiny_depth

CPU = torch.device("cpu")
HEIGHT, WIDTH = 36, 64


def frames(number: int, *, seed: int = 0) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(number)]


def configured(model: Path, **changes: object) -> EstimateConfig:
    return EstimateConfig.model_validate({"model": str(model), **changes})


def estimated(folder: Path, model: Path, **changes: object) -> dict[str, Row]:
    """Estimate the depth of two clips; one between them cannot be used, one is sound alone."""
    folder.mkdir(exist_ok=True)
    rows: list[Row] = []
    with open_archive(folder / "clips.tar") as tar:
        for key, clip_id, number in (("00000000", "five", 5), ("00000002", "two", 2)):
            jpegs = [
                simplejpeg.encode_jpeg(one, 95, "RGB", "444") for one in frames(number, seed=number)
            ]
            add_member(tar, f"{key}.jpgs", b"".join(jpegs))
            record = {"clip_id": clip_id, "jpgs_sizes": [len(jpeg) for jpeg in jpegs]}
            add_member(tar, f"{key}.json", json.dumps(record).encode())
            rows.append({"key": key, "clip_id": clip_id, "status": Status.OK, "has_video": True})
    rows.append({"key": "00000003", "clip_id": "sound", "status": Status.OK, "has_video": False})
    rows.insert(1, {"key": "00000001", "clip_id": "lost", "status": Status.NOT_FOUND})
    write_rows(folder / "extraction.parquet", rows, schema=EXTRACTION)
    estimate_depth(
        configured(model, **changes),
        extracted=folder / "clips.tar",
        extraction_table=folder / "extraction.parquet",
        archive=folder / "depth.tar",
        table=folder / "depth.parquet",
        device=CPU,
    )
    return {row["clip_id"]: row for row in read_rows(folder / "depth.parquet")}


def kept(folder: Path, key: str) -> tuple[list[NDArray[np.uint8]], dict[str, object]]:
    """Decode the maps of a clip, each of shape (H, W), and read its record."""
    with Archive(folder / "depth.tar") as tar:
        content, record = tar.need(f"{key}.depths"), json.loads(tar.need(f"{key}.json"))
    ends = np.cumsum(record["depths_sizes"])
    maps = [
        simplejpeg.decode_jpeg(content[end - size : end], "GRAY")[..., 0]
        for size, end in zip(record["depths_sizes"], ends, strict=True)
    ]
    return maps, record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, depth_anything: Path) -> Path:
    folder = tmp_path_factory.mktemp("chunk")
    estimated(folder, depth_anything)
    return folder


def test_every_clip_keeps_its_row_in_order(folder: Path) -> None:
    rows = read_rows(folder / "depth.parquet")
    assert [(row["clip_id"], row["status"], row["maps"]) for row in rows] == [
        ("five", "ok", 5),
        ("lost", None, None),
        ("two", "ok", 2),
        ("sound", "no_video", None),
    ]


def test_there_is_a_map_of_its_size_for_each_frame(folder: Path) -> None:
    maps, _ = kept(folder, "00000000")
    assert [one.shape for one in maps] == [(HEIGHT, WIDTH)] * 5


def test_maps_span_all_grays_over_the_clip(folder: Path) -> None:
    maps, _ = kept(folder, "00000000")
    assert min(one.min() for one in maps) <= 5
    assert max(one.max() for one in maps) >= 250


def test_the_record_says_what_black_and_white_stand_for(folder: Path, depth_anything: Path) -> None:
    maps = Estimator(configured(depth_anything), CPU).estimate(
        [_through_jpeg(one) for one in frames(5, seed=5)]
    )
    _, record = kept(folder, "00000000")
    assert record["depth_range"] == [min(map(np.min, maps)), max(map(np.max, maps))]
    assert str(record["depth_origin"]).startswith("tiny-depth@sha256:")


def test_what_is_far_is_dark(folder: Path, depth_anything: Path) -> None:
    maps = Estimator(configured(depth_anything), CPU).estimate(
        [_through_jpeg(one) for one in frames(5, seed=5)]
    )
    drawn, _ = kept(folder, "00000000")
    assert np.corrcoef(maps[2].ravel(), drawn[2].ravel())[0, 1] > 0.99


def _through_jpeg(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    jpeg = simplejpeg.encode_jpeg(frame, 95, "RGB", "444")
    decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(jpeg, "RGB")
    return decoded


def test_distances_are_turned_around(depth_anything: Path) -> None:
    near, far = (
        Estimator(configured(depth_anything, larger_is=what), CPU).estimate(frames(1))[0]
        for what in ("nearer", "farther")
    )
    assert np.array_equal(near, -far)


def test_how_many_are_estimated_together_changes_next_to_nothing(depth_anything: Path) -> None:
    one, many = (
        Estimator(configured(depth_anything, frames=number), CPU).estimate(frames(5))
        for number in (1, 16)
    )
    assert np.allclose(one, many, atol=1e-5)


def test_the_same_input_gives_the_same_bytes(depth_anything: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        estimated(tmp_path / name, depth_anything)
    for name in ("depth.tar", "depth.parquet"):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "other"))
        assert one == other


def test_a_metric_model_needs_to_be_called_one(tmp_path: Path) -> None:
    model = save_tiny_depth(tmp_path / "metric", kind="metric")
    with pytest.raises(ValueError, match=r"is metric: it gives distances.*set that to farther"):
        Estimator(configured(model), CPU)
    assert Estimator(configured(model, larger_is="farther"), CPU).estimate(frames(1))


def test_estimates_that_are_not_finite_cost_the_depth_alone(tmp_path: Path) -> None:
    model = save_tiny_depth(tmp_path / "broken")
    weights = load_file(model / "model.safetensors")
    weights["head.conv3.bias"] += torch.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    row = estimated(tmp_path / "chunk", model)["five"]
    assert row["status"] == "unreadable"
    assert row["reason"].startswith("the estimate of broken@sha256:")


def test_a_recogniser_estimates_no_depth(whisper: Path) -> None:
    with pytest.raises(ValueError, match=r"depth\.estimate\.model: the folder .* holds no model"):
        Estimator(configured(whisper), CPU)
