"""What a training may use: what is refused."""

import pytest
import torch

from gram.training.means import Means


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("workers", -1, 0), ("cache_mib", -1, 0), ("checkpoint_steps", 0, 1), ("micro_batch", 0, 1)],
    ids=["workers", "cache", "checkpoints", "micro_batch"],
)
def test_less_than_the_least_is_refused(name: str, value: int, least: int) -> None:
    message = f"{name} of a training is {value}, and the least is {least}; set it for the rule"
    with pytest.raises(ValueError, match=message):
        Means(device=torch.device("cpu"), **{name: value})


def test_the_least_is_taken() -> None:
    means = Means(device=torch.device("cpu"), workers=0, cache_mib=0, checkpoint_steps=1)
    assert (means.workers, means.cache_mib, means.checkpoint_steps) == (0, 0, 1)


RESOURCES = {
    "mem_mb": 64_000,
    "cache_mib": 32,
    "stage_shards": 1,
    "checkpoint_steps": 7,
    "micro_batch": 0,
    "checkpoint_activations": 1,
    "compile": 0,
    "shard_model": "1",
    "track_checkpoint": 1,
    "register_model": 0,
}


def test_means_are_the_resources_of_a_rule() -> None:
    device = torch.device("cpu")
    assert Means.of_rule(RESOURCES, device=device, threads=4) == Means(
        device=device,
        workers=3,
        cache_mib=32,
        stage_shards=True,
        checkpoint_steps=7,
        micro_batch=None,
        checkpoint_activations=True,
        compile=False,
        shard_model=True,
        track_checkpoint=True,
        register_model=False,
    )


def test_a_micro_batch_of_0_is_the_whole_share() -> None:
    means = Means.of_rule({**RESOURCES, "micro_batch": 5}, device=torch.device("cpu"), threads=1)
    assert (means.micro_batch, means.workers) == (5, 0)
