"""Several processes have together what one has, whatever is random, missing or uneven."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gram.data.clip_dataset import ClipDataset
from gram.data.loader import batches, evaluation_batches
from gram.data.order import Share
from gram.data.status import Status
from gram.types import Batch, Tokens
from tests.unit.data.made_datasets import dataset, with_inputs
from tests.unit.data.made_shards import MadeClip, make_index

CLIPS = [
    MadeClip(
        clip_id=f"clip{n}",
        captions=tuple("caption " * (1 + (n + k) % 4) for k in range(3)),
        subtitle="hello " * n if n % 3 else None,
        frames=8 if n % 4 else 2,
        sound_seconds=0.5 if n % 5 else None,
        depth_maps=4 if n % 2 else None,
    )
    for n in range(11)
]
"""Clips with texts of many lengths, which lack this and that."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> ClipDataset:
    """Give a data set that crops at random."""
    index = make_index(tmp_path_factory.mktemp("shared"), CLIPS, chunks=2)
    return dataset(index, with_inputs(transform="crop_flip", captions="all"))


def tensors_of(batch: Batch) -> list[torch.Tensor]:
    texts = [text for text in (batch.caption, batch.subtitle) if isinstance(text, Tokens)]
    inputs = [batch.video_bfchw, batch.depth_bfchw, batch.audio_bctm]
    tensors = [*inputs, *batch.present.values(), *(t for x in texts for t in (x.ids_bl, x.mask_bl))]
    return [tensor for tensor in tensors if tensor is not None]


def joined(parts: Sequence[Batch]) -> tuple[list[str], list[torch.Tensor]]:
    """Put the shares of a batch one behind the other."""
    clips = [clip for part in parts for clip in part.clip_ids]
    columns = zip(*(tensors_of(part) for part in parts), strict=True)
    return clips, [torch.cat(column) for column in columns]


def assert_same(parts: Sequence[Batch], whole: Batch) -> None:
    clips, tensors = joined(parts)
    assert clips == list(whole.clip_ids)
    wanted = tensors_of(whole)
    assert len(tensors) == len(wanted) == 11
    for found, one in zip(tensors, wanted, strict=True):
        assert torch.equal(found, one)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    world=st.integers(2, 5),
    batch_size=st.integers(5, 40),
    seed=st.integers(0, 100),
    epoch=st.integers(0, 100),
    start=st.integers(0, 3),
    workers=st.integers(0, 2),
)
def test_the_shares_of_a_training_batch_are_that_of_one_process(
    shared: ClipDataset,
    world: int,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int,
    workers: int,
) -> None:
    def stream(share: Share, workers: int) -> list[Batch]:
        return list(
            batches(
                shared,
                batch_size=batch_size,
                seed=seed,
                epoch=epoch,
                start=min(start, len(shared) // min(batch_size, len(shared))),
                share=share,
                workers=workers,
            )
        )

    wholes = stream(Share(), 0)
    ranks = [stream(Share(rank, world), workers) for rank in range(world)]
    for parts, whole in zip(zip(*ranks, strict=True), wholes, strict=True):
        assert_same(parts, whole)


@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_evaluation_batches_are_all_clips(shared: ClipDataset, world: int) -> None:
    def stream(share: Share) -> list[Batch]:
        return list(evaluation_batches(shared, batch_size=8, share=share))

    ranks = [stream(Share(rank, world)) for rank in range(world)]
    for parts, whole in zip(zip_longest(*ranks), stream(Share()), strict=True):
        assert_same([part for part in parts if part is not None], whole)


def test_a_process_without_share_of_the_last_batch_does_not_get_it(shared: ClipDataset) -> None:
    assert len(shared) % 8 == 1
    lengths = [
        [len(batch.clip_ids) for batch in evaluation_batches(shared, batch_size=8, share=share)]
        for share in (Share(0, 2), Share(1, 2))
    ]
    assert lengths == [[4, 4, 4, 4, 1], [4, 4, 4, 4]]


def test_a_batch_with_fewer_items_than_processes_is_refused(shared: ClipDataset) -> None:
    with pytest.raises(ValueError, match="a batch has 3 items, too few for 4 processes"):
        batches(shared, batch_size=3, seed=0, epoch=0, share=Share(0, 4))


def test_two_shardings_of_the_same_clips_give_the_same_batches(tmp_path: Path) -> None:
    clips = [*CLIPS, MadeClip(clip_id="lost", status=Status.NOT_FOUND)]
    streams = [
        batches(
            dataset(make_index(tmp_path / str(chunks), clips, chunks=chunks)),
            batch_size=4,
            seed=1,
            epoch=2,
        )
        for chunks in (1, 3)
    ]
    for some, others in zip(*streams, strict=True):
        assert_same([some], others)
