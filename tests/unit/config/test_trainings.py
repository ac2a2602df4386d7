"""Settings of a training that a run cannot be trained with are told of before anything runs."""

from typing import Any

import pytest

from tests.unit.config.small import config

AREA = {
    "one": {
        "loss": {"kind": "area", "matching_weight": 0},
        "model": {"modalities": ["video", "audio"]},
    }
}
FINETUNE = {"split": "train", "steps": 5, "learning_rate": 1e-4}


def finetuned(**settings: Any) -> dict[str, Any]:  # noqa: ANN401 - settings of any type
    return {"toys": {"dataset": "toys", "finetune": {**FINETUNE, **settings}}}


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        pytest.param(
            {"runs": {"one": {**AREA["one"], "pretrain": {"modality_dropout": 0.2}}}},
            "runs.one.loss.kind area needs all modalities of each clip, and "
            r"runs.one.pretrain.modality_dropout is 0.2; set it to 0, or change the kind",
            id="pretraining, area",
        ),
        pytest.param(
            {"runs": AREA, "benchmarks": finetuned(modality_dropout=0.2)},
            "runs.one.loss.kind area needs all modalities of each clip, and "
            r"benchmarks.toys.finetune.modality_dropout is 0.2; set it to 0",
            id="finetuning, area",
        ),
        pytest.param(
            {
                "runs": {
                    "one": {"pretrain": {"validation": {"held_out": 2, "score": "cosine_depth"}}}
                }
            },
            "runs.one.pretrain.validation.score, of runs.one: the score 'cosine_depth' needs the "
            "modality 'depth'",
            id="pretraining, validation",
        ),
        pytest.param(
            {"benchmarks": finetuned(validation={"held_out": 2, "score": "cosine_depth"})},
            "benchmarks.toys.finetune.validation.score, of runs.one: the score .cosine_depth.",
            id="finetuning, validation",
        ),
        pytest.param(
            {"runs": {"one": {"pretrain": {"frozen": ["text", "text"]}}}},
            "frozen names an encoder twice: text, text; name it once",
            id="frozen",
        ),
    ],
)
def test_what_cannot_be_trained_is_named(overlay: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(overlay)


def test_a_benchmark_that_no_line_ranks_asks_nothing_of_a_run() -> None:
    unused = {"other": {"dataset": "toys", "finetune": {**FINETUNE, "modality_dropout": 0.2}}}
    assert config({"runs": AREA, "benchmarks": unused}).benchmarks["other"].finetune is not None
