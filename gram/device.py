"""The device that a job computes on, and its threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def choose_device(gpus: int) -> torch.device:
    """Give the device for the number of GPUs that a job was given.

    Raises:
        ValueError: If a GPU was given but torch sees none, or more than one was given to a job of
            one process. There is
            no falling back to the CPU: a day of training would be lost before anyone looked.
    """
    if gpus == 0:
        return torch.device("cpu")
    if gpus > 1:
        raise ValueError(
            f"the job was given {gpus} GPUs, and a process uses one; set gpu=1 for the rule "
            "in the profile's set-resources"
        )
    if not torch.cuda.is_available():
        raise ValueError(
            "the job was given a GPU, but torch sees none; look at the driver and at "
            "CUDA_VISIBLE_DEVICES, or set gpu=0 for the rule in the profile's set-resources"
        )
    return torch.device("cuda", 0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside: where several share small work, waiting costs more than it.

    Sums do not depend on the number of cores then, either. torch keeps the number for each thread
    apart; a new one begins with that of the last call.
    """
    number = torch.get_num_threads()
    if number == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(number)
