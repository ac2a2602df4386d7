from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gram.data.loader import batches
from gram.data.transfer import on_device
from gram.types import Batch, Modality
from tests.unit.data.made_datasets import ALL, dataset
from tests.unit.data.made_shards import make_index
from tests.unit.data.test_shares import assert_same, tensors_of


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], list[Batch]]:
    """Give a function that reads three batches."""
    data = dataset(make_index(tmp_path_factory.mktemp("moved"), ALL))
    return lambda: list(batches(data, batch_size=3, seed=0, epoch=0))


def test_batches_on_the_cpu_are_the_same(stream: Callable[[], list[Batch]]) -> None:
    moved = list(on_device(iter(stream()), torch.device("cpu")))
    for some, others in zip(moved, stream(), strict=True):
        assert_same([some], others)


def test_what_a_run_does_not_use_stays_none(tmp_path: Path) -> None:
    data = dataset(make_index(tmp_path, ALL[:3]), modalities=[Modality.DEPTH])
    (moved,) = on_device(batches(data, batch_size=3, seed=0, epoch=0), torch.device("cpu"))
    assert (moved.video_bfchw, moved.audio_bctm, moved.subtitle) == (None, None, None)


@pytest.mark.gpu
def test_batches_on_a_gpu_are_the_same(stream: Callable[[], list[Batch]]) -> None:
    moved = list(on_device(iter(stream()), torch.device("cuda")))
    assert {tensor.device.type for batch in moved for tensor in tensors_of(batch)} == {"cuda"}
    for some, others in zip(moved, stream(), strict=True):
        assert_same(list(on_device(iter([some]), torch.device("cpu"))), others)
