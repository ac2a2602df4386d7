"""What makes media files and runs the stages, for tests that need no more; a zoo of odd files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.unit.data.made_media import Chunk, make_gray, make_media, run_ffmpeg, run_stages
from tests.unit.data.made_zoo import make_zoo


@pytest.fixture(scope="session", name="run_ffmpeg")
def _run_ffmpeg() -> Callable[..., bytes]:
    return run_ffmpeg


@pytest.fixture(scope="session", name="make_media")
def _make_media() -> Callable[..., Path]:
    return make_media


@pytest.fixture(scope="session", name="make_gray")
def _make_gray() -> Callable[..., Path]:
    return make_gray


@pytest.fixture(scope="session", name="run_stages")
def _run_stages() -> Callable[..., Chunk]:
    return run_stages


@pytest.fixture
def threads_of_torch() -> Iterator[Callable[[int], None]]:
    """Give what sets the number of threads that torch computes on, for the time of a test."""
    number = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(number)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Chunk:
    """Give files of every kind that people have, each of which went through all stages once."""
    folder = tmp_path_factory.mktemp("zoo")
    names = make_zoo(folder / "media")
    return run_stages(
        folder / "media", [{"video_id": name} for name in names], output=folder / "out"
    )
