"""Modalities left out at random in training, so that the volume of fewer vectors is learned too."""

from dataclasses import replace

import numpy as np
import torch

from gram.types import Batch


def drop_modalities(batch: Batch, probability: float, *, seed: int, step: int, rank: int) -> Batch:
    """Leave out each modality of each clip with a probability, but never all that a clip has.

    What is left out counts as missing: in the volume and among the tokens of the matching head.
    Draws depend on seed, step and the clip's place in the whole batch, on nothing else.

    Args:
        batch: A rank's share of a batch; shares stand one behind the other.
        probability: Of each modality of each clip, in [0, 1].
        seed: Seed of the settings.
        step: Number of the step.
        rank: Number of the process, from 0.
    """
    if probability == 0:
        return batch
    names, clips = list(batch.present), len(batch.clip_ids)
    draws = np.random.default_rng((seed, step, 0, 1)).random(((rank + 1) * clips, len(names)))
    draws_bm = torch.from_numpy(draws[rank * clips :])
    present_bm = torch.stack([batch.present[name].cpu() for name in names], dim=1)
    draws_bm = draws_bm.masked_fill(~present_bm, -1)
    kept_bm = draws_bm >= probability
    last_b = draws_bm.argmax(dim=1)  # the likeliest to be kept, where none is
    kept_bm[torch.arange(clips), last_b] |= ~kept_bm.any(dim=1)
    kept_bm &= present_bm
    return replace(batch, present={name: kept_bm[:, at] for at, name in enumerate(names)})
