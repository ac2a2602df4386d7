import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from gram.config import ExtractionConfig
from gram.data.depth import Span, choose_maps, read_depth, shrink
from gram.data.tables import PROBE, Row, read_rows, write_rows
from gram.data.tars import Archive

SETTINGS = ExtractionConfig(frames_per_clip=4, short_side=16)


def read(folder: Path, settings: ExtractionConfig = SETTINGS, **columns: object) -> Row:
    """Read the depth of one clip, whose media file is named clip.mp4, and give its row."""
    row: Row = {"key": "00000007", "clip_id": "clip", "media": str(folder / "clip.mp4")}
    row |= {"status": "ok", "duration_seconds": 4.0, **columns}
    write_rows(folder / "probe.parquet", [row], schema=PROBE)
    read_depth(
        settings,
        probed=folder / "probe.parquet",
        archive=folder / "depth.tar",
        table=folder / "depth.parquet",
    )
    (result,) = read_rows(folder / "depth.parquet")
    return result


def kept_maps(folder: Path) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Decode the maps that stand in the tar: each of shape (H, W)."""
    with Archive(folder / "depth.tar") as tar:
        sizes = json.loads(tar.need("00000007.json"))["depths_sizes"]
        content = tar.need("00000007.depths")
    ends = np.cumsum(sizes)
    assert ends[-1] == len(content)
    return [
        simplejpeg.decode_jpeg(content[end - size : end], "GRAY")[..., 0]
        for size, end in zip(sizes, ends, strict=True)
    ]


def save(folder: Path, maps_thw: np.ndarray[Any, Any]) -> None:
    np.save(folder / "clip.depth.npy", maps_thw)


def levels(num_maps: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """Maps of one level each, 0 to num_maps - 1, shape (T, 8, 8)."""
    return np.broadcast_to(np.arange(num_maps, dtype=dtype)[:, None, None], (num_maps, 8, 8))


# --- what is kept ----------------------------------------------------------------------------


def test_the_nearest_value_of_a_clip_becomes_255_and_the_farthest_0(tmp_path: Path) -> None:
    save(tmp_path, levels(4) * 3.5 - 100)
    read(tmp_path)
    assert [round(float(kept.mean())) for kept in kept_maps(tmp_path)] == [0, 85, 170, 255]


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ">f4", "uint8", "int16", "int64", "uint64"]
)
def test_every_real_number_type_is_read(tmp_path: Path, dtype: str) -> None:
    save(tmp_path, levels(2, dtype))
    assert read(tmp_path)["status"] == "ok"


def test_large_whole_numbers_do_not_wrap(tmp_path: Path) -> None:
    save(tmp_path, levels(2, "int8") * np.int8(127) - np.int8(60))
    read(tmp_path)
    assert [int(kept.mean()) for kept in kept_maps(tmp_path)] == [0, 255]


def test_a_scene_of_one_depth_is_0_everywhere(tmp_path: Path) -> None:
    save(tmp_path, np.full((4, 8, 8), 3.0))
    read(tmp_path)
    assert max(kept.max() for kept in kept_maps(tmp_path)) == 0


def test_maps_are_scaled_to_the_shorter_side(tmp_path: Path) -> None:
    save(tmp_path, np.random.default_rng(0).random((4, 48, 64)))
    read(tmp_path)
    assert kept_maps(tmp_path)[0].shape == (16, 21)


def test_small_maps_are_not_enlarged(tmp_path: Path) -> None:
    save(tmp_path, np.random.default_rng(0).random((4, 5, 7)))
    read(tmp_path)
    assert kept_maps(tmp_path)[0].shape == (5, 7)


def test_maps_are_kept_from_the_centers_of_time_bins(tmp_path: Path) -> None:
    save(tmp_path, levels(256))
    read(tmp_path)
    middles = [32, 96, 160, 224]
    wanted = [255 * (middle - 32) / (224 - 32) for middle in middles]
    assert np.allclose([kept.mean() for kept in kept_maps(tmp_path)], wanted, atol=1)


def test_the_number_of_maps_is_told(tmp_path: Path) -> None:
    save(tmp_path, levels(3))
    assert read(tmp_path) == {"clip_id": "clip", "status": "ok", "reason": None, "maps": 3}


def test_fewer_maps_than_bins_are_all_kept() -> None:
    assert choose_maps(5, 32, span=Span()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("num_maps", [1, 7, 8, 9, 100])
def test_as_many_maps_are_chosen_as_there_are_or_bins(num_maps: int) -> None:
    assert len(choose_maps(num_maps, 8, span=Span())) == min(num_maps, 8)


def test_a_part_of_a_file_takes_its_own_maps() -> None:
    assert choose_maps(100, 4, span=Span(start=0.5, end=0.6)) == [51, 53, 56, 58]


def test_a_clip_that_is_a_part_of_its_file_takes_its_own_maps(
    tmp_path: Path, make_media: Callable[..., Path]
) -> None:
    make_media(tmp_path / "clip.mp4")  # of 2 s
    save(tmp_path, levels(200))
    read(tmp_path, start_seconds=1.0, end_seconds=1.5, duration_seconds=0.5)
    record = kept_maps(tmp_path)
    wanted = [255 * step / 3 for step in range(4)]  # maps 106, 118, 131, 143
    assert np.allclose([kept.mean() for kept in record], wanted, atol=4)


def test_shrinking_keeps_the_mean() -> None:
    map_hw = np.random.default_rng(0).random((37, 53))
    assert np.isclose(shrink(map_hw, short_side=10).mean(), map_hw.mean())


def test_shrinking_by_a_whole_number_is_the_mean_of_blocks() -> None:
    map_hw = np.random.default_rng(0).random((12, 18))
    blocks = map_hw.reshape(4, 3, 6, 3).mean(axis=(1, 3))
    assert np.allclose(shrink(map_hw, short_side=4), blocks)


# --- what is broken --------------------------------------------------------------------------


def test_a_clip_without_a_depth_file_says_so(tmp_path: Path) -> None:
    row = read(tmp_path)
    assert (row["status"], row["reason"]) == (
        "not_found",
        "no clip.depth.npy beside the media",
    )


def test_an_unusable_clip_is_not_looked_at(tmp_path: Path) -> None:
    save(tmp_path, levels(4))
    assert read(tmp_path, status="unreadable")["status"] is None


def broken_contents() -> dict[str, bytes]:
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8, 8), }"
    whole = header.ljust(127) + b"\n" + bytes(4 * 4 * 64)
    return {
        "empty": b"",
        "text": b"this is no array",
        "header only": whole[:128],
        "cut": whole[:-1],
        "cut header": whole[:60],
        "not a literal": whole.replace(b"(4, 8, 8)", b"(4, 8, 8 "),
        "negative shape": whole.replace(b"(4, 8, 8)", b"(-4,8, 8)"),
        "huge shape": whole.replace(b"(4, 8, 8)", b"(4,9**99)"),
        "vast shape": whole.replace(b"(4, 8, 8), }", b"(9999999999, 99999999, 8)}"),
        "unknown type": whole.replace(b"<f4", b"<q9"),
        "pickle": whole.replace(b"<f4", b"|O "),
        "zip": b"PK\x03\x04 not a zip",
        "version 9": whole.replace(b"NUMPY\x01", b"NUMPY\x09"),
    }


@pytest.mark.parametrize("kind", broken_contents())
def test_a_broken_file_costs_the_depth_and_says_why(tmp_path: Path, kind: str) -> None:
    (tmp_path / "clip.depth.npy").write_bytes(broken_contents()[kind])
    row = read(tmp_path)
    assert row["status"] == "unreadable"
    assert row["reason"].startswith("clip.depth.npy cannot be used: ")


def test_a_folder_of_that_name_costs_the_depth(tmp_path: Path) -> None:
    (tmp_path / "clip.depth.npy").mkdir()
    assert read(tmp_path)["status"] == "unreadable"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((8, 8)), "it has shape (8, 8), where (maps, height, width) is needed"),
        (np.zeros((0, 8, 8)), "it has shape (0, 8, 8)"),
        (np.zeros((4, 8, 8, 3)), "it has shape (4, 8, 8, 3)"),
        (np.zeros((4, 8, 8), complex), "it holds complex128"),
        (np.zeros((4, 8, 8), bool), "it holds bool"),
        (np.array([[["near"]]]), "it holds <U4"),
        (np.full((4, 8, 8), np.nan), "it holds values that are not finite"),
        (np.pad(np.full((1, 1, 1), np.inf), ((0, 3), (0, 7), (0, 7))), "not finite"),
        (np.array([[[-1.7e308]], [[1.7e308]]]), "not finite"),
    ],
    ids=["flat", "empty", "color", "complex", "bool", "text", "nan", "infinite", "too far apart"],
)
def test_an_array_that_is_no_depth_says_what_it_is(
    tmp_path: Path, array: np.ndarray[Any, Any], said: str
) -> None:
    save(tmp_path, array)
    assert said in read(tmp_path)["reason"]


def test_a_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.depth.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert read(tmp_path)["status"] == "unreadable"


def test_an_archive_of_arrays_is_no_depth(tmp_path: Path) -> None:
    with (tmp_path / "clip.depth.npy").open("wb") as file:
        np.savez(file, maps=levels(4))
    assert read(tmp_path)["status"] == "unreadable"


def test_a_part_of_a_file_of_unknown_length_costs_the_depth(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    save(tmp_path, levels(4))
    assert "whose length cannot be read" in read(tmp_path, end_seconds=1.0)["reason"]


def test_a_broken_file_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "clip.depth.npy").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        read(tmp_path)
    assert "clip 'clip' goes without depth" in caplog.text


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    save(tmp_path, levels(4))
    read(tmp_path)
    first = (tmp_path / "depth.tar").read_bytes()
    read(tmp_path)
    assert (tmp_path / "depth.tar").read_bytes() == first
