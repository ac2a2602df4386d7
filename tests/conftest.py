"""What all tests share: torch computes on one thread, so that times and sums do not depend on cores."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
