"""Numbers that the published code gave, recorded as tensors: read if they are there.

They are looked for in the folder that GRAM_GOLDEN_DIR names, then in ``tests/data/golden``, then
in a folder ``shared/golden`` beside the repository.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One recording: what it says of itself, and its tensors by name."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor]


def folder() -> Path | None:
    if named := os.environ.get("GRAM_GOLDEN_DIR"):
        return Path(named)
    places = (ROOT / "tests" / "data" / "golden", ROOT.parent / "shared" / "golden")
    return next((place for place in places if place.is_dir()), None)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """Give a function that reads a recording by its name, or skips the test."""
    place = folder()

    def read(name: str) -> Golden:
        if place is None or not (place / f"{name}.safetensors").is_file():
            pytest.skip(f"no recording {name} in {place or 'any folder'}; set GRAM_GOLDEN_DIR")
        facts = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
        return Golden(facts=facts, tensors=load_file(place / f"{name}.safetensors"))

    return read
