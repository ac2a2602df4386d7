import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from gram.data import clip_reader
from gram.data.clip_dataset import ClipDataset
from gram.data.loader import batches, evaluation_batches
from gram.data.order import epoch_order
from gram.data.tars import read_member
from gram.data.vocabulary import SPECIAL
from gram.types import ITEM_MODALITIES, Batch, Modality
from tests.unit.data.made_datasets import ALL, MIXED, dataset, gray_levels, with_inputs
from tests.unit.data.made_shards import MadeClip, make_index

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of ten clips that have everything, in three shards."""
    return make_index(tmp_path_factory.mktemp("whole"), ALL, chunks=3)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of clips that lack this and that."""
    return make_index(tmp_path_factory.mktemp("mixed"), MIXED, chunks=2)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of clips of many short sounds, whose filter banks threads would share."""
    clips = [MadeClip(clip_id=f"clip{n}", sound_seconds=0.03 * (n + 1)) for n in range(30)]
    return make_index(tmp_path_factory.mktemp("noisy"), clips)


def epoch(data: ClipDataset, number: int = 0, **options: int) -> list[Batch]:
    return list(batches(data, batch_size=3, seed=0, epoch=number, **options))


def flat(batch: Batch) -> list[object]:
    """All that a batch holds, as plain values that can be compared."""
    texts = [batch.caption, batch.subtitle]
    tensors = [batch.video_bfchw, batch.depth_bfchw, batch.audio_bctm, *batch.present.values()]
    tensors += [tensor for text in texts if text for tensor in (text.ids_bl, text.mask_bl)]
    return [batch.clip_ids, *(None if one is None else one.tolist() for one in tensors)]


def same(some: Sequence[Batch], others: Sequence[Batch]) -> bool:
    return [flat(batch) for batch in some] == [flat(batch) for batch in others]


# --- batches ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_batches(whole: Path) -> None:
    assert same(epoch(dataset(whole)), epoch(dataset(whole)))


def test_another_seed_gives_another_order() -> None:
    orders = [tuple(epoch_order(50, seed=seed, epoch=0)) for seed in range(5)]
    assert len(set(orders)) == 5


def test_another_seed_gives_other_frames(whole: Path) -> None:
    levels = [[gray_levels(dataset(whole, seed=seed), row) for row in range(10)] for seed in (0, 1)]
    assert levels[0] != levels[1]


def test_epochs_differ_in_order(whole: Path) -> None:
    data = dataset(whole)
    orders = [[clip for one in epoch(data, number) for clip in one.clip_ids] for number in (0, 1)]
    assert orders[0] != orders[1]


def test_epochs_differ_in_frames(whole: Path) -> None:
    data = dataset(whole)
    levels = [[gray_levels(data, row, number) for row in range(10)] for number in (0, 1)]
    assert levels[0] != levels[1]


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_going_on_after_some_batches_gives_the_same_rest(whole: Path, start: int) -> None:
    assert same(epoch(dataset(whole), 2, start=start), epoch(dataset(whole), 2)[start:])


@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_beyond_the_epoch_is_refused_at_once(whole: Path, workers: int) -> None:
    with pytest.raises(ValueError, match=r"start is 4, but an epoch of 10 items has 3 batches of"):
        batches(dataset(whole), batch_size=3, seed=0, epoch=0, start=4, workers=workers)


def test_skipped_batches_are_not_read(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(*given: object, clip_id: str, kind: str) -> bytes:
        read.append(clip_id)
        return read_member(*given, clip_id=clip_id, kind=kind)  # type: ignore[arg-type]

    monkeypatch.setattr(clip_reader, "read_member", reading)
    (rest,) = epoch(dataset(whole, modalities=[VIDEO]), start=2)
    assert sorted(read) == sorted(rest.clip_ids)


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_the_same_batches(whole: Path, workers: int) -> None:
    assert same(epoch(dataset(whole), workers=workers), epoch(dataset(whole)))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_do_not_depend_on_the_threads_that_torch_has(
    noisy: Path, workers: int, threads_of_torch: Callable[[int], None]
) -> None:
    wanted = epoch(dataset(noisy, modalities=[AUDIO]))
    threads_of_torch(2)
    assert same(epoch(dataset(noisy, modalities=[AUDIO]), workers=workers), wanted)


@pytest.mark.parametrize("transform", ["squash", "crop_flip"])
@pytest.mark.parametrize("cache_mib", [1, 64])
def test_keeping_decoded_clips_changes_no_batch(
    whole: Path, cache_mib: int, transform: str
) -> None:
    inputs = with_inputs(transform=transform)
    kept, fresh = dataset(whole, inputs, cache_mib=cache_mib), dataset(whole, inputs)
    for number in range(3):
        assert same(epoch(kept, number), epoch(fresh, number))


def test_an_epoch_drops_the_ragged_end(whole: Path) -> None:
    assert [len(batch.clip_ids) for batch in epoch(dataset(whole))] == [3, 3, 3]


def test_an_epoch_takes_no_clip_twice(whole: Path) -> None:
    clips = [clip for batch in epoch(dataset(whole)) for clip in batch.clip_ids]
    assert len(set(clips)) == 9


def test_fewer_clips_than_a_batch_are_one_batch(whole: Path) -> None:
    data = dataset(whole)
    assert [len(b.clip_ids) for b in batches(data, batch_size=64, seed=0, epoch=0)] == [10]


def test_evaluation_gives_all_clips_in_order(whole: Path) -> None:
    data = dataset(whole, is_training=False)
    clips = [clip for batch in evaluation_batches(data, batch_size=4) for clip in batch.clip_ids]
    assert clips == [clip.clip_id for clip in ALL]


def test_the_last_evaluation_batch_may_be_smaller(whole: Path) -> None:
    data = dataset(whole, is_training=False)
    assert [len(b.clip_ids) for b in evaluation_batches(data, batch_size=4)] == [4, 4, 2]


def test_an_order_holds_every_clip_once() -> None:
    assert sorted(epoch_order(100, seed=3, epoch=4)) == list(range(100))


def loader_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("gram-loader")]


def test_a_reader_that_stops_early_ends_its_threads(whole: Path) -> None:
    stream = batches(dataset(whole), batch_size=1, seed=0, epoch=0, workers=2)
    assert len(list(itertools.islice(stream, 2))) == 2
    assert loader_threads() != []
    stream.close()  # type: ignore[attr-defined]
    assert loader_threads() == []


def test_threads_end_with_the_epoch(whole: Path) -> None:
    assert len(epoch(dataset(whole), workers=2)) == 3
    assert loader_threads() == []


@pytest.mark.parametrize("kind", [MemoryError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("workers", [0, 2])
def test_whatever_ends_a_task_reaches_the_reader(
    whole: Path, monkeypatch: pytest.MonkeyPatch, workers: int, kind: type[BaseException]
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise kind

    monkeypatch.setattr(clip_reader, "read_member", fail)
    with pytest.raises(kind):
        epoch(dataset(whole), workers=workers)
    assert loader_threads() == []


# --- what stands in a batch ------------------------------------------------------------------


def mixed_batch(mixed: Path, missing: str = "mask") -> Batch:
    data = dataset(mixed, with_inputs(missing=missing), is_training=False)
    (batch,) = evaluation_batches(data, batch_size=9)
    return batch


def test_a_batch_has_the_promised_shapes(whole: Path) -> None:
    batch = epoch(dataset(whole, with_inputs(audio_clips=3, mel_bins=32)))[0]
    tensors = [batch.video_bfchw, batch.depth_bfchw, batch.audio_bctm]
    assert [(tuple(one.shape), one.dtype) for one in tensors if one is not None] == [
        ((3, 2, 3, 16, 16), torch.uint8),
        ((3, 2, 1, 16, 16), torch.uint8),
        ((3, 3, 32, 32), torch.float32),
    ]


@pytest.mark.parametrize("transform", ["squash", "crop_flip"])
@pytest.mark.parametrize("is_training", [True, False])
def test_pictures_lie_in_memory_in_the_order_of_their_axes(
    whole: Path, transform: str, is_training: bool
) -> None:
    data = dataset(whole, with_inputs(transform=transform), is_training=is_training)
    batch = next(evaluation_batches(data, batch_size=2))
    assert batch.video_bfchw is not None
    assert batch.video_bfchw.is_contiguous()


@pytest.mark.parametrize(
    ("modality", "wanted"),
    [
        (VIDEO, [True, True, True, True, True]),
        (AUDIO, [True, False, True, True, False]),
        (SUBTITLE, [True, True, True, False, False]),
        (DEPTH, [True, True, False, True, False]),
    ],
)
def test_a_batch_says_which_clip_has_what(
    mixed: Path, modality: Modality, wanted: list[bool]
) -> None:
    assert mixed_batch(mixed).present[modality].tolist() == wanted


def test_where_sound_is_missing_are_zeros(mixed: Path) -> None:
    audio_bctm = mixed_batch(mixed).audio_bctm
    assert audio_bctm is not None
    is_zero = [float(bank.abs().max()) == 0 for bank in audio_bctm]
    assert is_zero == [False, True, False, False, True]


def test_where_depth_is_missing_are_zeros(mixed: Path) -> None:
    depth_bfchw = mixed_batch(mixed).depth_bfchw
    assert depth_bfchw is not None
    assert [int(maps.max()) == 0 for maps in depth_bfchw] == [False, False, True, False, True]


def test_a_missing_subtitle_is_encoded_as_an_empty_text(mixed: Path) -> None:
    subtitle = mixed_batch(mixed).subtitle
    assert subtitle is not None
    assert subtitle.mask_bl.sum(dim=1).tolist() == [3, 3, 3, 2, 2]


def test_a_blank_subtitle_counts_as_present_when_dropping(mixed: Path) -> None:
    batch = mixed_batch(mixed, "drop")
    assert batch.present[SUBTITLE].tolist() == [True, True]


def test_a_batch_without_any_sound_still_has_its_input(mixed: Path) -> None:
    batch = list(evaluation_batches(dataset(mixed, is_training=False), batch_size=1))[1]
    assert batch.audio_bctm is not None
    assert tuple(batch.audio_bctm.shape) == (1, 1, 32, 64)


def test_pictures_stay_bytes_where_all_are_missing(mixed: Path) -> None:
    batch = list(evaluation_batches(dataset(mixed, is_training=False), batch_size=1))[2]
    assert batch.depth_bfchw is not None
    assert batch.depth_bfchw.dtype == torch.uint8


def test_inputs_that_the_run_does_not_use_are_none(whole: Path) -> None:
    batch = epoch(dataset(whole, modalities=[VIDEO]))[0]
    assert (batch.audio_bctm, batch.depth_bfchw, batch.subtitle) == (None, None, None)


def test_only_modalities_of_the_run_are_said_to_be_present(whole: Path) -> None:
    assert set(epoch(dataset(whole, modalities=[AUDIO, DEPTH]))[0].present) == {AUDIO, DEPTH}


def test_rows_of_a_batch_belong_together(tmp_path: Path) -> None:
    clips = [
        MadeClip(clip_id=str(n), captions=(str(n),), subtitle=str(n), frames=n + 1)
        for n in range(8)
    ]
    data = dataset(make_index(tmp_path, clips, chunks=2), num_frames=1)
    for batch in epoch(data):
        assert batch.caption is not None
        assert batch.subtitle is not None
        assert [batch.caption.ids_bl[:, 1].tolist(), batch.subtitle.ids_bl[:, 1].tolist()] == [
            [len(SPECIAL) + int(clip) for clip in batch.clip_ids]
        ] * 2


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("transform", ["squash", "crop_flip"])
def test_pictures_are_scaled_as_it_is_set(
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    transform: str,
    is_training: bool,
    antialias: bool,
) -> None:
    seen: list[object] = []
    scale: Callable[..., torch.Tensor] = functional.interpolate

    def interpolate(*given: torch.Tensor, **how: object) -> torch.Tensor:
        seen.append(how["antialias"])
        return scale(*given, **how)

    monkeypatch.setattr(functional, "interpolate", interpolate)
    inputs = with_inputs(transform=transform, antialias=antialias)
    dataset(whole, inputs, is_training=is_training).sample(0, epoch=0)
    assert set(seen) == {antialias}
