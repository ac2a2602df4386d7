"""Recordings of the published code, and the tiny model that they are of."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from gram.data.vocabulary import read_vocabulary
from gram.model import GramModel
from gram.types import ITEM_MODALITIES, Modality
from tests.golden.recording import FOLDER, Golden, read
from tests.golden.tiny_gram import build_model

PARTS = ("03_eva_clip", "03_beats", "03_bert")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Give the folder of the recordings."""
    return FOLDER


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """Give a function that reads a recording by its name, each once."""
    return cache(read)


@pytest.fixture(scope="session")
def tiny_gram(golden: Callable[[str], Golden], golden_folder: Path) -> Callable[..., GramModel]:
    """Give a function that builds our model of the recorded sizes, with random weights."""
    state = golden("04_gram_state")
    parts = {name: golden(name).facts for name in PARTS}
    pieces = read_vocabulary(golden_folder / "04_vocab.txt")

    def of(modalities: tuple[Modality, ...] = ITEM_MODALITIES) -> GramModel:
        return build_model(state.tensors, state.facts, parts, modalities=modalities, pieces=pieces)

    return of


@pytest.fixture(scope="session")
def released_checkpoint(
    golden: Callable[[str], Golden], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Give the recorded weights as a file of the released code."""
    path = tmp_path_factory.mktemp("released") / "model_step_1.pt"
    torch.save(golden("04_gram_state").tensors, path)
    return path
