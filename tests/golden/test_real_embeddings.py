"""Recalls on embeddings of a real benchmark that the published model gave.

They are looked for in the folder that GRAM_EMBEDDINGS_DIR names, then in a folder
``shared/embeddings`` beside the repository.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gram.config import ScoreName, parse_score
from gram.evaluation.fitted import plain_score
from gram.evaluation.ranked import paired_set
from gram.evaluation.ranks import Places
from gram.evaluation.retrieval import RetrievalPlaces, rank_retrieval, summarize_places
from gram.evaluation.scoring import cross_fit
from gram.types import Modality
from gram.volume import nearest_items

SHARED = Path(__file__).parents[3] / "shared" / "embeddings"
TVAS = (Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE)
TENSORS = {Modality.VIDEO: "video", Modality.AUDIO: "audio", Modality.SUBTITLE: "subtitles"}


def read(step: int) -> dict[str, Tensor]:
    """Read a snapshot by tensor name, or skip the test."""
    folder = Path(os.environ.get("GRAM_EMBEDDINGS_DIR") or SHARED)
    path = folder / f"msrvtt_884_step{step}.safetensors"
    if not path.is_file():
        pytest.skip(f"no embeddings {path.name} in {folder}; set GRAM_EMBEDDINGS_DIR")
    return load_file(path)


Recalls = tuple[float, float, float]

# What the authors' own code prints for two snapshots of their model: 884 clips of MSR-VTT, one
# caption each. Recalls at 1, 5 and 10, text to item, then item to text.
UPSTREAM = [
    (0, "cosine_video", 1, (44.9, 72.4, 82.5), (33.1, 63.9, 75.6)),
    (0, "volume", 2, (24.1, 42.6, 51.4), (33.0, 64.7, 75.2)),
    (0, "volume", 3, (24.1, 43.1, 50.6), (33.5, 64.7, 75.1)),
    (0, "residual", 2, (43.4, 72.1, 80.3), (33.0, 64.7, 75.2)),
    (0, "residual", 3, (43.6, 72.3, 79.6), (33.5, 64.7, 75.1)),
    (99, "cosine_video", 1, (41.5, 70.6, 81.4), (37.7, 66.5, 75.8)),
    (99, "volume", 2, (43.7, 70.2, 79.5), (38.2, 66.1, 75.9)),
    (99, "volume", 3, (43.7, 70.6, 80.1), (37.8, 65.7, 76.1)),
    (99, "residual", 2, (43.0, 71.9, 81.0), (38.2, 66.1, 75.9)),
    (99, "residual", 3, (42.2, 71.7, 81.1), (37.8, 65.7, 76.1)),
]


def _lucky_recalls(places: Places) -> list[float]:
    """Recalls with every tie for the right one, as upstream's counting has it."""
    return [100 * (places.best_q <= k).double().mean().item() for k in (1, 5, 10)]


def _fair_recalls(places: Places) -> list[float]:
    summary = summarize_places(places, recall_at=(1, 5, 10))
    return [summary[f"R@{k}"] for k in (1, 5, 10)]


def _rank_upstream(tensors: dict[str, Tensor], score: ScoreName, *, count: int) -> RetrievalPlaces:
    ranked = paired_set(tensors["text"], {name: tensors[TENSORS[name]] for name in TVAS[:count]})
    return rank_retrieval(plain_score(score), ranked)


@pytest.mark.parametrize(
    ("step", "score", "count", "text_to_item", "item_to_text"),
    UPSTREAM,
    ids=[f"step {step}, {score}, {count + 1} modalities" for step, score, count, _, _ in UPSTREAM],
)
def test_embeddings_of_others_give_the_recalls_of_others(
    step: int,
    score: ScoreName,
    count: int,
    text_to_item: Recalls,
    item_to_text: Recalls,
) -> None:
    found = _rank_upstream(read(step), score, count=count)
    assert _fair_recalls(found.text_to_item.places) == pytest.approx(text_to_item, abs=0.06)
    assert _lucky_recalls(found.item_to_text.places) == pytest.approx(item_to_text, abs=0.06)


def test_ties_of_equal_captions_cost_what_they_cost_upstream() -> None:
    # Their log prints 33.3 for item to text here: of two equal captions, one finds its clip.
    found = _rank_upstream(read(0), "volume", count=3)
    assert _fair_recalls(found.item_to_text.places) == pytest.approx((33.3, 64.7, 75.1), abs=0.06)


SPREAD = 1.5
"""How far the mean over 12 halves may lie from another mean over 12 halves, in points. A recall of
one half deviates by 1.5 to 2.9 from the mean, so the difference of two such means by 0.6 to 1.2."""

# What the README of the embeddings found: 442 clips, mean of 12 halves of its own, R@1 text to item
# and item to text; what is fitted is fitted on the other half.
CROSS_FITTED = {
    0: {
        "volume": (29.5, 43.8),
        "cosine_video": (53.5, 42.8),
        "cosine_mean": (38.9, 34.0),
        "residual": (52.1, 43.8),
        "trusted_residual": (53.3, 43.7),
        "cosine_video+bank@20": (52.6, 54.6),
        "trusted_similarity+bank@20": (53.1, 47.1),
    },
    99: {
        "volume": (52.7, 46.5),
        "cosine_video": (51.1, 47.2),
        "cosine_mean": (39.7, 38.2),
        "residual": (52.6, 46.5),
        "trusted_residual": (52.6, 46.9),
        "cosine_video+bank@20": (53.0, 54.8),
        "trusted_similarity+bank@20": (53.5, 52.9),
    },
}


@pytest.mark.parametrize("step", CROSS_FITTED)
def test_halves_give_the_recalls_that_others_found_on_halves(step: int) -> None:
    tensors, expected = read(step), CROSS_FITTED[step]
    ranked = paired_set(tensors["text"], {name: tensors[TENSORS[name]] for name in TVAS})
    scored = cross_fit([parse_score(name) for name in expected], ranked, halves=12)
    recalls = {
        name: [
            summarize_places(one.places, recall_at=(1,))["R@1"]
            for one in (found.places.text_to_item, found.places.item_to_text)
        ]
        for name, found in zip(expected, scored, strict=True)
    }
    assert recalls == {
        name: pytest.approx(list(pair), abs=SPREAD) for name, pair in expected.items()
    }


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
