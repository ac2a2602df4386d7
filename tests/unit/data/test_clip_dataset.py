"""One item: which of its captions, frames, slices and crops are taken."""

from pathlib import Path

import pytest
import torch

from gram.data.clip_dataset import ClipDataset
from gram.data.transforms import filter_bank
from gram.types import ITEM_MODALITIES
from tests.unit.data.made_datasets import ALL, INPUTS, dataset, gray_levels, with_inputs
from tests.unit.data.made_shards import MadeClip, gray_of, make_index, tone

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of ten clips that have everything, in three shards."""
    return make_index(tmp_path_factory.mktemp("whole"), ALL, chunks=3)


def test_evaluation_takes_the_middle_frame_of_each_segment(whole: Path) -> None:
    data = dataset(whole, num_frames=4, is_training=False)
    assert gray_levels(data) == [gray_of(number) for number in (0, 2, 4, 6)]


def test_training_takes_one_frame_of_each_segment(whole: Path) -> None:
    data = dataset(whole)
    seen = [gray_levels(data, number=number) for number in range(40)]
    halves = [set(range(4)), set(range(4, 8))]
    found = [{(level - 20) // 10 for level in column} for column in zip(*seen, strict=True)]
    assert found == halves


def test_a_clip_of_few_frames_repeats_them(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeClip(clip_id="short", frames=2)])
    data = dataset(index, num_frames=4, is_training=False)
    assert gray_levels(data) == [gray_of(0), gray_of(0), gray_of(1), gray_of(1)]


def test_frames_and_depth_maps_are_chosen_by_the_same_draw(whole: Path) -> None:
    data = dataset(whole, num_frames=4)
    for number in range(5):
        sample = data.sample(0, epoch=number)
        assert sample.depth_fchw is not None
        near = [round(float(one[..., -4:].float().mean()) * 4 / 255) for one in sample.depth_fchw]
        assert near == [1, 2, 3, 4]


def test_training_draws_among_all_captions(whole: Path) -> None:
    data = dataset(whole)
    found = {data.sample(0, epoch=number).caption for number in range(60)}
    assert found == set(ALL[0].captions)


def test_evaluation_takes_the_first_caption(whole: Path) -> None:
    assert dataset(whole, is_training=False).sample(3, epoch=7).caption == "caption 0"


@pytest.mark.parametrize("captions", ["random", "all"])
def test_evaluation_takes_the_first_caption_whatever_training_takes(
    whole: Path, captions: str
) -> None:
    data = dataset(whole, with_inputs(captions=captions), is_training=False)
    assert [data.sample(row, epoch=0).caption for row in range(len(data))] == ["caption 0"] * 10


def test_training_takes_the_first_caption_where_that_is_set(whole: Path) -> None:
    data = dataset(whole, with_inputs(captions="first"))
    assert {data.sample(0, epoch=number).caption for number in range(30)} == {"caption 0"}


def test_each_caption_is_an_item_where_that_is_set(whole: Path) -> None:
    data = dataset(whole, with_inputs(captions="all"), modalities=[SUBTITLE])
    samples = [data.sample(item, epoch=3) for item in range(len(data))]
    assert [(sample.clip_id, sample.caption) for sample in samples] == [
        (clip.clip_id, caption) for clip in ALL for caption in clip.captions
    ]


def test_items_of_a_clip_draw_frames_of_their_own(whole: Path) -> None:
    data = dataset(whole, with_inputs(captions="all"))
    assert len({tuple(gray_levels(data, item)) for item in range(5)}) > 1


def test_the_policy_of_captions_changes_no_other_draw(whole: Path) -> None:
    first, random = (dataset(whole, with_inputs(captions=name)) for name in ("first", "random"))
    assert gray_levels(first, row=3, number=5) == gray_levels(random, row=3, number=5)


def test_a_clip_without_caption_is_named_where_each_caption_is_an_item(tmp_path: Path) -> None:
    index = make_index(tmp_path, [*ALL[:2], MadeClip(clip_id="mute", captions=())])
    with pytest.raises(ValueError, match="1 clips have no caption, 'mute' first; give them one"):
        dataset(index, with_inputs(captions="all"))


def test_runs_of_other_modalities_draw_the_same_frames(whole: Path) -> None:
    alone, together = dataset(whole, modalities=[VIDEO]), dataset(whole)
    assert gray_levels(alone, number=5) == gray_levels(together, number=5)


def test_training_draws_among_all_slices_of_sound(whole: Path) -> None:
    data = dataset(whole, with_inputs(audio_frames=16))  # 98 frames: seven slices
    banks = [data.sample(0, epoch=number).audio_ctm for number in range(60)]
    assert len({tuple(bank.flatten().tolist()) for bank in banks if bank is not None}) == 7


def test_evaluation_takes_the_middle_slice_of_sound(whole: Path) -> None:
    bank = dataset(whole, is_training=False).sample(0, epoch=0).audio_ctm
    start = 32 * 160  # 98 frames: four slices, of which the second is the middle
    wanted = filter_bank(tone(1.0)[start : start + 31 * 160 + 400], INPUTS)
    assert torch.equal(bank, wanted.unsqueeze(0))  # type: ignore[arg-type]


def test_random_crops_differ_between_epochs(tmp_path: Path) -> None:
    index = make_index(tmp_path, [MadeClip(clip_id="a")])
    data = dataset(index, with_inputs(transform="crop_flip"), modalities=[DEPTH])
    # The right half is near, so a flip shows.
    near = {bool(_depth(data, number)[..., 0].float().mean() > 40) for number in range(20)}
    assert near == {True, False}


def _depth(data: ClipDataset, number: int) -> torch.Tensor:
    depth_fchw = data.sample(0, epoch=number).depth_fchw
    assert depth_fchw is not None
    return depth_fchw
