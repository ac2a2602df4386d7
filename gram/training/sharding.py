"""Weights in shares: each process keeps a share of the vision tower's weights (FSDP2).

The vision tower has most of the weights, and every process calls all of its blocks in every pass.
The other parts stay whole in each process: BEATs leaves layers out at random, and the processes
would wait for each other's.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from gram.model import GramModel


def shard(model: GramModel, device: torch.device) -> None:
    """Keep each weight of the vision tower in shares, one a process, block by block.

    Raises:
        ValueError: If there is one process, or the model has no vision tower.
    """
    if not distributed.is_initialized() or model.vision is None:
        raise ValueError(
            "shard_model keeps the vision tower in shares, one a process; found "
            f"{'no vision tower' if model.vision is None else 'one process'}; set it to 0, or "
            "give the rule more processes, in the profile"
        )
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for block in model.vision.tower.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model.vision, mesh=mesh)


def is_shared(value: object) -> bool:
    """Say whether a tensor is kept in shares."""
    return isinstance(value, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Give a tensor with all of its shares; all ranks call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Give all weights by name, whole; all ranks call this together."""
    return {name: whole(one) for name, one in model.state_dict().items()}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Set all weights, whole ones given, each process its shares."""
    own = model.state_dict()
    model.load_state_dict({name: _like(value, own.get(name)) for name, value in weights.items()})


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Set an optimizer's state, whole tensors given, each process its shares."""
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = _like(value, parameter)


def _like(value: Tensor, example: Tensor | None) -> Tensor:
    if not isinstance(example, DTensor):
        return value
    mesh = example.device_mesh
    return distribute_tensor(value.to(mesh.device_type), mesh, example.placements)
