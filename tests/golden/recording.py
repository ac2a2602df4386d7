"""Numbers that the published code gave, recorded as tensors, each with what it says of itself.

They are in the folder that GRAM_GOLDEN_DIR names, else in ``tests/data/golden``.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(
    os.environ.get("GRAM_GOLDEN_DIR") or Path(__file__).parents[1] / "data" / "golden"
).absolute()


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One recording: what it says of itself, and its tensors by name."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor]


def facts_of(name: str) -> dict[str, Any]:
    """Read what a recording says of itself; tests are parametrized with the cases it lists.

    Raises:
        FileNotFoundError: If it is not there.
    """
    facts: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def read(name: str) -> Golden:
    """Read a recording by its name.

    Raises:
        FileNotFoundError: If it is not there.
    """
    return Golden(facts=facts_of(name), tensors=load_file(FOLDER / f"{name}.safetensors"))
