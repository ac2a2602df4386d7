"""The smallest settings that a workflow could have, for tests to change."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from gram.config import Config, merged

SMALL: dict[str, Any] = {
    "targets": ["main"],
    "datasets": {"toys": {"kind": "generated", "clips": {"train": 4, "test": 4}}},
    "defaults": {
        "model": {"modalities": ["video", "audio"]},
        "pretrain_dataset": "toys",
        "pretrain": {"steps": 10, "learning_rate": 1e-3},
    },
    "runs": {"one": {}},
    "benchmarks": {"toys": {"dataset": "toys"}},
    "tables": {"main": {"title": "Main", "rows": [{"run": "one", "benchmark": "toys"}]}},
}


def config(overlay: Mapping[str, Any] | None = None) -> Config:
    return Config.model_validate(merged(deepcopy(SMALL), overlay or {}))
