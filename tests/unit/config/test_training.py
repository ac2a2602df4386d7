"""Settings of a training: how its weights are chosen, and on what they must not be."""

from typing import Any

import pytest

from gram.config import TrainingConfig
from tests.unit.config.small import config


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"keep": "best"}, "keep is best, and there is no validation to tell which is"),
        ({"validation": {}}, "give a split, or a number of clips to be held_out"),
        ({"validation": {"split": "val", "held_out": 5}}, "found split val, held_out 5"),
        ({"validation": {"split": "train"}}, "validation.split is 'train', which is trained on"),
    ],
    ids=["best of nothing", "neither", "both", "trained on"],
)
def test_what_cannot_choose_weights_is_refused(training: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig.model_validate({"steps": 1, **training})


def test_weights_are_not_chosen_on_what_a_benchmark_ranks() -> None:
    overlay = {"defaults": {"pretrain": {"validation": {"split": "test"}}}}
    with pytest.raises(ValueError, match=r"'test' of toys, which benchmarks.toys ranks: weights"):
        config(overlay)


def test_finetuned_weights_are_not_chosen_on_what_another_benchmark_ranks() -> None:
    finetune = {"steps": 1, "validation": {"split": "val"}}
    overlay = {
        "datasets": {"toys": {"clips": {"val": 4}}},
        "benchmarks": {
            "tuned": {"dataset": "toys", "finetune": finetune},
            "other": {"dataset": "toys", "protocol": {"split": "val"}},
        },
    }
    with pytest.raises(ValueError, match=r"benchmarks.tuned.finetune.validation.split is 'val'"):
        config(overlay)


def test_a_validation_split_that_is_not_there_is_named() -> None:
    overlay = {"defaults": {"pretrain": {"validation": {"split": "val"}}}}
    with pytest.raises(ValueError, match="names the split of toys 'val', which is not there"):
        config(overlay)
