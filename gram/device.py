"""The device that a job computes on."""

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
