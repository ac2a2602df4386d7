"""What a training may use. It decides how long the training takes, and no result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a training may use; it decides no result, but for rounding and the draws of dropout.

    Attributes:
        device: Where to train.
        workers: Threads that read clips ahead; 0: each batch is read when it is needed.
        cache_mib: Memory for decoded clips that are kept between epochs, in MiB; 0 keeps none.
        stage_shards: Copy the shards to the node's own disk first, and read them there.
        checkpoint_steps: Steps between two partial checkpoints, at least 1.
        micro_batch: Clips of a process's share whose graph is held at the same time; None: all.
        checkpoint_activations: Compute the encoders' layers again in the backward pass instead of
            keeping their activations: less memory, about a third more time.
        compile: Compile the encoders with torch.compile: minutes at the start, faster steps.
        shard_model: Keep the vision tower's weights in shares, one a process (FSDP2).
        track_checkpoint: Give the tracker the checkpoint too, not its description alone.
        register_model: Have the checkpoint registered as a version of a model.
    """

    device: torch.device
    workers: int = 0
    cache_mib: int = 0
    stage_shards: bool = False
    checkpoint_steps: int = 500
    micro_batch: int | None = None
    checkpoint_activations: bool = False
    compile: bool = False
    shard_model: bool = False
    track_checkpoint: bool = False
    register_model: bool = False

    RESOURCES: ClassVar = (
        "cache_mib",
        "stage_shards",
        "checkpoint_steps",
        "micro_batch",
        "checkpoint_activations",
        "compile",
        "shard_model",
        "track_checkpoint",
        "register_model",
    )

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, least in (
            ("workers", self.workers, 0),
            ("cache_mib", self.cache_mib, 0),
            ("checkpoint_steps", self.checkpoint_steps, 1),
            ("micro_batch", 1 if self.micro_batch is None else self.micro_batch, 1),
        ):
            if value < least:
                raise ValueError(
                    f"{name} of a training is {value}, and the least is {least}; "
                    "set it for the rule in the profile"
                )

    @classmethod
    def of_rule(
        cls, resources: Mapping[str, Any], *, device: torch.device, threads: int
    ) -> "Means":
        """Take the means from the resources of a rule; of a switch, 0 is off and 1 on.

        Args:
            resources: Those that ``RESOURCES`` names, among others; of ``micro_batch``, 0 is the
                whole share.
            device: Where to train.
            threads: Threads of one process: one trains, the others read clips.
        """
        given = {name: int(resources[name]) for name in cls.RESOURCES}
        return cls(
            device=device,
            workers=max(0, threads - 1),
            cache_mib=given["cache_mib"],
            stage_shards=bool(given["stage_shards"]),
            checkpoint_steps=given["checkpoint_steps"],
            micro_batch=given["micro_batch"] or None,
            checkpoint_activations=bool(given["checkpoint_activations"]),
            compile=bool(given["compile"]),
            shard_model=bool(given["shard_model"]),
            track_checkpoint=bool(given["track_checkpoint"]),
            register_model=bool(given["register_model"]),
        )
