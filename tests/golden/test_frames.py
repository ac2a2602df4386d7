"""Frames and depth maps as the published code chose, scaled, cut and normalized them."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gram.config import ExtractionConfig, InputsConfig
from gram.data import transforms
from gram.data.depth import Span, read_maps
from gram.data.media_files import list_media
from gram.encoders.vision import CLIP_MEAN, CLIP_STD, VisionEncoder
from tests.golden.recording import facts_of

Tensors = dict[str, Tensor]
Case = dict[str, Any]

FACTS = facts_of("05_vision")
CASES: dict[str, Case] = FACTS["cases"]
INDEX_TABLE = FACTS["index_table"]
SEEN = [name for name in CASES if f"out.{name}.vision" in FACTS["tensors"]]
DEEP = [name for name in CASES if f"out.{name}.depth" in FACTS["tensors"]]
CLIP = [name for name in SEEN if CASES[name]["encoder"] == "evaclip01_giant"]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation that the published code takes for its other vision encoders."""

LEVEL = 1 / 255


def is_wide(name: str) -> bool:
    """Say whether no random square fits into the pictures of a case."""
    height, width = FACTS["tensors"][CASES[name].get("source", "in.frames_rgb_u8")]["shape"][1:3]
    return bool(min(height, width) ** 2 < transforms.SMALLEST_AREA * height * width)


WIDE = [name for name in SEEN if CASES[name]["random_crops_(top,left,h,w)"] and is_wide(name)]


# --- what the published code was given ----------------------------------------------------------


class Square(NamedTuple):
    """A random crop as it was recorded, in pixels."""

    top: int
    left: int
    height: int
    width: int


def frames_of(recorded: Tensors, name: str) -> Tensor:
    """Give the frames that the published code took, in its order: uint8, shape (F, 3, H, W)."""
    case = CASES[name]
    pictures_fhwk = recorded[case.get("source", "in.frames_rgb_u8")]
    broken = case["unreadable_frames"]
    numbers = [number for number in case["frames_requested_in_order"] if number not in broken]
    return pictures_fhwk[numbers].permute(0, 3, 1, 2)


def squares_of(name: str) -> list[Square]:
    """Give the recorded crops; where there is depth the first is that of the depth maps."""
    return [Square(*numbers) for numbers in CASES[name]["random_crops_(top,left,h,w)"]]


def draws_for(square: Square, height: int, width: int, *, is_flipped: bool) -> transforms.Crop:
    """Find draws from which our crop gives a recorded square."""
    area, largest = height * width, min(height, width) ** 2 / (height * width)
    span = largest - transforms.SMALLEST_AREA
    share = (square.height**2 / area - transforms.SMALLEST_AREA) / span if span > 0 else 0.0
    return transforms.Crop(
        area=min(max(share, 0.0), 1.0),
        top=(square.top + 0.5) / (height - square.height + 1),
        left=(square.left + 0.5) / (width - square.width + 1),
        is_flipped=is_flipped,
    )


def transformed(
    name: str, pictures_fkhw: Tensor, *, square: Square | None, is_flipped: bool
) -> Tensor:
    """Transform pictures by our functions as a case says: shape (F, K, S, S)."""
    case = CASES[name]
    sizes = {"pixels": case["resolution"], "antialias": case["antialias"]}
    if case["vision_transforms"] == "none":
        return transforms.squash(pictures_fkhw, **sizes)
    if square is None:
        return transforms.center_square(pictures_fkhw, **sizes)
    crop = draws_for(square, *pictures_fkhw.shape[-2:], is_flipped=is_flipped)
    return transforms.crop_flip(pictures_fkhw, crop, **sizes)


def normalized(name: str, pictures_fkhw: Tensor) -> Tensor:
    """Normalize pictures of 0 to 255 as the encoder of a case wants them."""
    mean, std = (CLIP_MEAN, CLIP_STD) if name in CLIP else IMAGENET
    mean_k, std_k = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    return (pictures_fkhw.float() / 255 - mean_k) / std_k


def flips_of(recorded: Tensors, name: str) -> list[tuple[bool, ...]]:
    """List what may have been flipped: as many of the stacks as the recording counts."""
    stacks = 2 if name in DEEP else 1
    choices = itertools.product([False, True], repeat=stacks)
    return [flips for flips in choices if sum(flips) == CASES[name]["hflip_calls"]]


def error_of(recorded: Tensors, name: str, *, dtype: torch.dtype) -> float:
    """Compare our frames of a case with the published ones, as the network sees them.

    Where the recording leaves open which of two stacks was flipped, the nearer one counts.
    """
    squares = squares_of(name)
    pictures_fkhw = frames_of(recorded, name).to(dtype)
    errors = []
    for flips in flips_of(recorded, name):
        ours_fkhw = transformed(
            name, pictures_fkhw, square=squares[-1] if squares else None, is_flipped=flips[-1]
        )
        error = normalized(name, ours_fkhw) - recorded[f"out.{name}.vision"]
        errors.append(float(error.abs().max()))
    return min(errors)


@pytest.fixture
def recorded(golden: Callable[[str], Any]) -> Tensors:
    tensors: Tensors = golden("05_vision").tensors
    return tensors


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEEN)
def test_frames_are_the_published_ones(recorded: Tensors, name: str) -> None:
    assert error_of(recorded, name, dtype=torch.float32) <= 1e-5


@pytest.mark.parametrize("name", SEEN)
def test_frames_of_bytes_are_within_a_gray_level_of_the_published_ones(
    recorded: Tensors, name: str
) -> None:
    least_deviation = min(CLIP_STD if name in CLIP else IMAGENET[1])
    assert error_of(recorded, name, dtype=torch.uint8) <= 1.01 * LEVEL / least_deviation


def test_frames_are_scaled_as_the_released_models_saw_them() -> None:
    assert InputsConfig().antialias is False


@pytest.mark.parametrize(
    "name", [name for name in CLIP if CASES[name]["vision_transforms"] == "none"]
)
def test_the_encoder_normalizes_as_published(recorded: Tensors, name: str) -> None:
    pixels = CASES[name]["resolution"]
    sizes = {"pixels": pixels, "patch": pixels, "width": 16, "depth": 1, "heads": 1}
    encoder = VisionEncoder(**sizes, mlp_width=16, drop_path=0.0)
    seen: list[Tensor] = []
    first = next(layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pictures_fkhw = frames_of(recorded, name).float()
    encoder(transformed(name, pictures_fkhw, square=None, is_flipped=False).unsqueeze(0))
    torch.testing.assert_close(seen[0], recorded[f"out.{name}.vision"], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("recorded")
def test_the_mean_is_the_published_one() -> None:
    assert list(CLIP_MEAN) == FACTS["clip_mean"]


@pytest.mark.usefixtures("recorded")
def test_the_deviation_is_the_published_one() -> None:
    assert list(CLIP_STD) == FACTS["clip_std"]


@pytest.mark.parametrize("name", WIDE)
def test_wide_pictures_are_always_cut_in_the_middle_as_published(
    recorded: Tensors, name: str
) -> None:
    pictures_fkhw = frames_of(recorded, name)
    square = squares_of(name)[-1]
    cut = pictures_fkhw[..., square.top :, square.left :][..., : square.height, : square.width]
    crop = transforms.Crop(area=0.9, top=0.9, left=0.1, is_flipped=False)
    assert transforms.crop_flip(pictures_fkhw, crop, pixels=square.height, antialias=False).equal(
        cut
    )


# --- which frames -------------------------------------------------------------------------------


def label(row: Case) -> str:
    return f"{row['sample_num']} of {row['n_frames']}"


LONG = [row for row in INDEX_TABLE if row["test_indices"] is not None]
SHORT = [row for row in INDEX_TABLE if row["test_indices"] is None]
DRAWN = "train_indices_python_random_seed_n*100+S"


def ends_of_segments(count: int, picks: int) -> tuple[list[int], list[int]]:
    """Give what our choice takes by the smallest and by the largest draws."""
    first, last = (
        transforms.pick_per_segment(count, picks, draws_p=[draw] * picks)
        for draw in (0.0, np.nextafter(1, 0))
    )
    return first, last


@pytest.mark.parametrize("row", LONG, ids=label)
def test_frames_of_the_test_are_the_published_ones(row: Case) -> None:
    chosen = transforms.pick_per_segment(row["n_frames"], row["sample_num"], draws_p=None)
    assert chosen == row["test_indices"]


@pytest.mark.parametrize("row", LONG, ids=label)
def test_frames_drawn_in_training_lie_in_our_segments(row: Case) -> None:
    first, last = ends_of_segments(row["n_frames"], row["sample_num"])
    assert all(a <= n <= b for a, n, b in zip(first, row[DRAWN], last, strict=True))


@pytest.mark.parametrize("row", LONG, ids=label)
def test_our_segments_give_the_published_draws_to_pythons_generator(row: Case) -> None:
    # Published: random.choice of each segment in turn; so the ends of all of ours are right.
    first, last = ends_of_segments(row["n_frames"], row["sample_num"])
    generator = random.Random(row["n_frames"] * 100 + row["sample_num"])  # noqa: S311
    segments = [range(a, b + 1) for a, b in zip(first, last, strict=True)]
    assert [generator.choice(segment) for segment in segments] == row[DRAWN]


@pytest.mark.parametrize("row", SHORT, ids=label)
def test_too_few_frames_are_repeated_where_the_published_code_takes_another_clip(
    row: Case,
) -> None:
    # A fix: another clip in its place would stand in the gallery twice.
    chosen = transforms.pick_per_segment(row["n_frames"], row["sample_num"], draws_p=None)
    assert set(chosen) == set(range(row["n_frames"]))


@pytest.mark.parametrize("name", [name for name in SEEN if not CASES[name]["training"]])
def test_what_was_asked_for_first_are_our_frames(recorded: Tensors, name: str) -> None:
    case = CASES[name]
    count, picks = len(recorded[case.get("source", "in.frames_rgb_u8")]), case["sample_num"]
    asked = case["frames_requested_in_order"][:picks]
    assert transforms.pick_per_segment(count, picks, draws_p=None) == asked


BROKEN = [name for name in SEEN if CASES[name]["unreadable_frames"]]


@pytest.mark.parametrize("name", BROKEN)
def test_the_published_code_puts_others_for_unreadable_frames_at_the_end(name: str) -> None:
    case = CASES[name]
    asked, picks = case["frames_requested_in_order"], case["sample_num"]
    first = [number for number in asked[:picks] if number not in case["unreadable_frames"]]
    behind = [number for number in asked[picks:] if number not in case["unreadable_frames"]]
    assert (len(first) < picks, len(first) + len(behind)) == (True, picks)


@pytest.mark.parametrize("name", BROKEN)
def test_we_choose_among_readable_frames_in_order(recorded: Tensors, name: str) -> None:
    # A fix: extraction keeps the frames that can be read, and the choice is made among those.
    case = CASES[name]
    count = len(recorded[case.get("source", "in.frames_rgb_u8")])
    kept = [number for number in range(count) if number not in case["unreadable_frames"]]
    chosen = transforms.pick_per_segment(len(kept), case["sample_num"], draws_p=None)
    taken = [kept[number] for number in chosen]
    assert taken == sorted(set(taken))


# --- depth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEEP)
def test_depth_maps_are_scaled_and_cut_as_the_published_ones(recorded: Tensors, name: str) -> None:
    # Published: all maps of the file, whichever frames were chosen, and a crop of their own.
    squares = squares_of(name)
    maps_fkhw = recorded["in.depth_npy_u8"].permute(0, 3, 1, 2).float()
    errors = []
    for flips in flips_of(recorded, name):
        ours_fkhw = transformed(
            name, maps_fkhw, square=squares[0] if squares else None, is_flipped=flips[0]
        )
        error = normalized(name, ours_fkhw) - recorded[f"out.{name}.depth"]
        errors.append(float(error.abs().max()))
    assert min(errors) <= 1e-5


def test_we_cut_depth_where_we_cut_the_frames(recorded: Tensors) -> None:
    # A fix: a map that is cut and flipped apart from its frame shows another part of the scene.
    frames_fkhw = recorded["in.frames_rgb_u8"].permute(0, 3, 1, 2)
    maps_fkhw = frames_fkhw[:, :1]
    crop = transforms.Crop(area=0.3, top=0.7, left=0.2, is_flipped=True)
    cut = [
        transforms.crop_flip(one.float(), crop, pixels=16, antialias=False)
        for one in (frames_fkhw, maps_fkhw)
    ]
    assert cut[0][:, :1].equal(cut[1])


def test_a_depth_file_of_colors_is_refused(recorded: Tensors, tmp_path: Path) -> None:
    # Published: reading depth is switched off; the recorded file has three channels.
    path = tmp_path / "clip.depth.npy"
    np.save(path, recorded["in.depth_npy_u8"].numpy())
    with pytest.raises(ValueError, match=r"where \(maps, height, width\) is needed"):
        read_maps(path, ExtractionConfig(), span=Span())


# --- files --------------------------------------------------------------------------------------

LOOKUP = FACTS["prefix_lookup_example"]


@pytest.mark.parametrize(("wanted", "found"), LOOKUP["result"].items())
def test_the_published_code_takes_the_first_name_that_begins_alike(wanted: str, found: str) -> None:
    alike = [name for name in LOOKUP["files"] if name.startswith(wanted)]
    assert [*alike, "None"][0] == found


@pytest.mark.parametrize("wanted", LOOKUP["result"])
def test_we_take_the_file_of_exactly_that_name(tmp_path: Path, wanted: str) -> None:
    # A fix: the published code takes a file of a longer name where it is listed first.
    for name in LOOKUP["files"]:
        (tmp_path / name).touch()
    right = [name for name in LOOKUP["files"] if Path(name).stem == wanted]
    assert [path.name for path in list_media(tmp_path).named(wanted)] == right
