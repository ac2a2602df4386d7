"""What a training may use: what is refused."""

import pytest
import torch

from gram.training.means import Means


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("workers", -1, 0), ("cache_mib", -1, 0), ("checkpoint_steps", 0, 1)],
    ids=["workers", "cache", "checkpoints"],
)
def test_less_than_the_least_is_refused(name: str, value: int, least: int) -> None:
    message = f"{name} of a training is {value}, and the least is {least}; set it for the rule"
    with pytest.raises(ValueError, match=message):
        Means(device=torch.device("cpu"), **{name: value})


def test_the_least_is_taken() -> None:
    means = Means(device=torch.device("cpu"), workers=0, cache_mib=0, checkpoint_steps=1)
    assert (means.workers, means.cache_mib, means.checkpoint_steps) == (0, 0, 1)
