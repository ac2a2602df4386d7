"""The learning-rate schedule of the published code."""

from collections.abc import Callable
from typing import Any

import pytest

from gram.training.optimizer import schedule_factor

STEPS = (1, 2, 10, 50, 99, 100, 101, 500, 750, 999, 1000)


@pytest.mark.parametrize("step", STEPS)
def test_the_rate_is_the_published_one(golden: Callable[[str], Any], step: int) -> None:
    schedule = golden("07_optim").facts["schedule"]
    factor = schedule_factor(
        step, num_steps=schedule["num_train_steps"], warmup=schedule["warmup_ratio"]
    )
    expected = schedule["factor_at_step"]["warmup_linear"][str(step)]
    assert factor == pytest.approx(expected, abs=1e-12)
