"""Sizes of models by name; what the settings say besides counts more."""

from collections.abc import Mapping
from typing import Any, Literal

PresetName = Literal["tiny", "small", "paper"]

PRESETS: Mapping[PresetName, Mapping[str, Any]] = {
    "tiny": {
        "embedding_width": 64,
        "vision": {
            "patch": 16,
            "width": 64,
            "depth": 2,
            "heads": 4,
            "mlp_width": 128,
            "drop_path": 0.0,
        },
        "audio": {
            "patch": 32,
            "patch_width": 64,
            "width": 64,
            "depth": 2,
            "heads": 4,
            "mlp_width": 128,
            "layer_drop": 0.0,
            "gradient_decay": 1.0,
            "position_kernel": 8,
            "position_groups": 4,
            "buckets": 32,
            "max_distance": 16,
        },
        "text": {
            "width": 64,
            "depth": 1,
            "heads": 4,
            "mlp_width": 128,
            "dropout": 0.0,
            "positions": 64,
        },
    },
    "small": {
        "vision": {
            "patch": 16,
            "width": 384,
            "depth": 12,
            "heads": 6,
            "mlp_width": 1536,
            "drop_path": 0.1,
        },
        "audio": {"width": 384, "depth": 6, "heads": 6, "mlp_width": 1536},
        "text": {"width": 384, "depth": 6, "heads": 6, "mlp_width": 1536},
    },
    "paper": {},
}
"""tiny: the demo's, minutes on a CPU. small: for one GPU of 24 GB. paper: the classes' defaults,
EVA-CLIP g/14, BEATs and bert-base."""
