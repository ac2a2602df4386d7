"""What all tests share: torch computes on one thread, and the checkout can be copied.

On one thread times and sums do not depend on the number of cores.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


WORKFLOW = ROOT / "tests" / "workflow"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run workflows first, and skip what cannot or need not run here.

    They take longest, and would else be left for one process at the end.
    """
    items.sort(key=lambda item: not item.path.is_relative_to(WORKFLOW))
    _skip(config, items)


def _skip(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where torch sees none, and what is slow unless it is asked for."""
    reasons = {}
    if not torch.cuda.is_available():
        reasons["gpu"] = "needs a CUDA device, and torch sees none"
    if "slow" not in config.getoption("markexpr"):
        reasons["slow"] = "takes minutes; run pytest -m slow"
    for item in items:
        for marker in reasons.keys() & item.keywords.keys():
            item.add_marker(pytest.mark.skip(reason=reasons[marker]))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def copy_checkout() -> Callable[[Path], Path]:
    """Give a function that copies the project into a new folder, as it would stand in a commit.

    Workflows run in such a copy, never in the checkout, whose results are the user's.
    """
    return _copy_checkout


def _copy_checkout(folder: Path) -> Path:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(
        [*command, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder
