"""Recalls on embeddings of a real benchmark that the published model gave.

They are looked for in the folder that GRAM_EMBEDDINGS_DIR names, then in a folder
``shared/embeddings`` beside the repository.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gram.config import ScoreName
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import rank_retrieval
from gram.types import Modality
from gram.volume import nearest_items

SHARED = Path(__file__).parents[3] / "shared" / "embeddings"
TVA = (Modality.VIDEO, Modality.AUDIO)
TVAS = (*TVA, Modality.SUBTITLE)
TENSORS = {Modality.VIDEO: "video", Modality.AUDIO: "audio", Modality.SUBTITLE: "subtitles"}
EXPECTED: list[tuple[int, ScoreName, tuple[Modality, ...], str, str]] = [
    (0, "cosine_video", TVA, "44.9/72.4/82.5", "33.1/63.9/75.6"),
    (0, "volume", TVA, "24.1/42.6/51.4", "33.0/64.7/75.2"),
    (0, "volume", TVAS, "24.1/43.1/50.6", "33.5/64.7/75.1"),
    (0, "residual", TVA, "43.4/72.1/80.3", "33.0/64.7/75.2"),
    (0, "residual", TVAS, "43.6/72.3/79.6", "33.5/64.7/75.1"),
    (99, "cosine_video", TVA, "41.5/70.6/81.4", "37.7/66.5/75.8"),
    (99, "volume", TVA, "43.7/70.2/79.5", "38.2/66.1/75.9"),
    (99, "volume", TVAS, "43.7/70.6/80.1", "37.8/65.7/76.1"),
    (99, "residual", TVA, "43.0/71.9/81.0", "38.2/66.1/75.9"),
    (99, "residual", TVAS, "42.2/71.7/81.1", "37.8/65.7/76.1"),
]
"""Step, score, modalities, and R@1/5/10 in percent of both directions, from the table there."""

ALLOWED = torch.tensor([0.06, 0.06, 0.2, 0.06, 0.06, 0.2])
"""Percent points: the table has one decimal, and the order of equal scores may move R@10."""


def read(step: int) -> dict[str, torch.Tensor]:
    """Read a snapshot by tensor name, or skip the test."""
    folder = Path(os.environ.get("GRAM_EMBEDDINGS_DIR") or SHARED)
    path = folder / f"msrvtt_884_step{step}.safetensors"
    if not path.is_file():
        pytest.skip(f"no embeddings {path.name} in {folder}; set GRAM_EMBEDDINGS_DIR")
    return load_file(path)


def recalls(places: Places) -> list[float]:
    """Give R@1/5/10 in percent as the table counts: what ties with the right one is behind it."""
    return [100 * (places.best_q <= k).double().mean().item() for k in (1, 5, 10)]


@pytest.mark.parametrize(
    ("step", "score", "modalities", "text_to_item", "item_to_text"),
    EXPECTED,
    ids=[f"step{step}_{score}_{len(which)}" for step, score, which, _, _ in EXPECTED],
)
def test_recalls_are_those_of_the_table(
    step: int,
    score: ScoreName,
    modalities: tuple[Modality, ...],
    text_to_item: str,
    item_to_text: str,
) -> None:
    tensors = read(step)
    vectors_nkd = torch.stack([tensors[TENSORS[name]] for name in modalities], dim=1)
    places = rank_retrieval(
        score,
        tensors["text"],
        text_clip_q=torch.arange(len(vectors_nkd)),
        vectors_nkd=vectors_nkd,
        present_nk=torch.ones(vectors_nkd.shape[:2], dtype=torch.bool),
        modalities=modalities,
    )
    found = [*recalls(places.text_to_item), *recalls(places.item_to_text)]
    expected = [float(one) for one in f"{text_to_item}/{item_to_text}".split("/")]
    apart = torch.tensor(found) - torch.tensor(expected)
    assert (apart.abs() <= ALLOWED).all()


@pytest.mark.parametrize("step", [0, 99])
def test_the_trusted_residual_finds_more_than_the_volume(step: int) -> None:
    tensors = read(step)
    vectors_mkd = torch.stack([tensors[TENSORS[name]] for name in TVAS], dim=1)
    right_n1 = torch.arange(len(vectors_mkd)).unsqueeze(1)
    volume, trusted = (
        nearest_items(tensors["text"], vectors_mkd, k=10, score=score, lambdas=lambdas)
        for score, lambdas in (("volume", None), ("trusted_residual", (0.0, 1.0, 1.0)))
    )
    assert (trusted.indices_nk == right_n1).sum() > (volume.indices_nk == right_n1).sum()
