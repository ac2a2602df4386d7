import pytest
import torch

from gram.device import choose_device


def test_no_gpu_is_the_cpu() -> None:
    assert choose_device(0) == torch.device("cpu")


def test_several_gpus_are_refused() -> None:
    with pytest.raises(
        ValueError, match="the job was given 4 GPUs, and a process uses one; set gpu=1"
    ):
        choose_device(4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU")
def test_a_gpu_that_is_not_there_is_no_cpu() -> None:
    with pytest.raises(ValueError, match="torch sees none; look at the driver and at CUDA_VISIBLE"):
        choose_device(1)


@pytest.mark.gpu
def test_one_gpu_is_the_first() -> None:
    assert choose_device(1) == torch.device("cuda", 0)
