"""Every random generator that a step may draw from: kept, and set again.

Each process has generators of its own. Rank 0 begins with the seed of the settings, as a training
of one process does; the others with seeds made of it.
"""

import random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class TorchStates(NamedTuple):
    """States of torch's generators that a model draws from.

    Attributes:
        cpu: State of the CPU's generator, uint8.
        device: State of the generator of the device that computes, uint8; None: the CPU does.
    """

    cpu: Tensor
    device: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "TorchStates":
        """Take the states as they are."""
        on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), on_device)

    def restore(self, device: torch.device) -> None:
        """Set the generators to these states."""
        torch.set_rng_state(self.cpu)
        if self.device is not None:
            torch.cuda.set_rng_state(self.device, device)


def seed_rank(seed: int, *, rank: int, step: int = 0) -> None:
    """Seed torch's generators for a rank that draws apart from the others.

    Rank 0 is seeded with ``seed`` itself at step 0; any other pair of rank and step with the first
    number of numpy's ``SeedSequence((seed, rank, step))``.

    Args:
        seed: Seed of the settings.
        rank: Number of the process, from 0.
        step: Steps that are done; above 0 where a training goes on with more processes.
    """
    if rank or step:
        seed = int(np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(seed)


def all_states(device: torch.device) -> dict[str, Any]:
    """Give the states of torch's, numpy's and Python's generators, as tensors and plain values."""
    torch_states = TorchStates.now(device)
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "cpu": torch_states.cpu,
        "device": torch_states.device,
        "numpy": (str(kind), [int(key) for key in keys], position, has_gauss, gauss),
        "python": random.getstate(),
    }


def restore_all(states: dict[str, Any], device: torch.device) -> None:
    """Set all generators to states that ``all_states`` gave.

    States of a training on another kind of device are taken as far as they go: the generator of a
    device that had none goes on as it is.
    """
    on_device = states["device"] if device.type == "cuda" else None
    TorchStates(states["cpu"], on_device).restore(device)
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, gauss))
    random.setstate(states["python"])
