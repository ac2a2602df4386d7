"""Weight files of others -> a checkpoint of this project, once a run."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from gram.config import EncoderWeights, InputsConfig, ModelConfig, ReleasedWeights
from gram.data.vocabulary import read_vocabulary
from gram.files import sha256_of, write_text
from gram.jobs import ImportSettings
from gram.model import GramModel
from gram.types import Modality
from gram.versions import commit
from gram.weights import (
    Encoder,
    LoadReport,
    load_encoder,
    load_released,
    read_released_settings,
)

log = logging.getLogger(__name__)

READERS: Mapping[str, tuple[Encoder, frozenset[Modality]]] = {
    "vision": ("eva", frozenset({Modality.VIDEO, Modality.DEPTH})),
    "audio": ("beats", frozenset({Modality.AUDIO})),
    "text": ("bert", frozenset()),
}
"""Form of each encoder's file, and the modalities that need it; texts are always there."""


def import_weights(settings: ImportSettings, *, output: Path) -> None:
    """Build a run's model, put the weights of others into it, and write it as a checkpoint.

    What the files lack starts at random, by the run's seed. Beside the checkpoint a readable
    description, the same name ending in ``.json``, says what was loaded, fitted, missing and left.

    Args:
        settings: Model and inputs of the run, its seed, and the files.
        output: Checkpoint of this project that is written last.

    Raises:
        ValueError: If a file is absent, damaged or of another architecture, lacks a weight that
            it may not lack, or was made with other inputs than those of the settings.
    """
    weights = settings.weights
    torch.manual_seed(settings.seed)
    pieces = read_vocabulary(Path(weights.vocabulary))
    model = GramModel(settings.model, settings.inputs, pieces=pieces)
    match weights:
        case ReleasedWeights():
            reports = [_load_released(model, weights)]
        case EncoderWeights():
            reports = _load_encoders(model, weights)
    for report in reports:
        log.info("%s", report)
    described = {
        "files": [_described(report) for report in reports],
        "vocabulary_sha256": sha256_of(Path(weights.vocabulary)),
        "settings": settings.model_dump(mode="json"),
        "commit": commit(),
    }
    write_text(output.with_suffix(".json"), json.dumps(described, indent=2, sort_keys=True))
    model.save(output)


def _load_released(model: GramModel, weights: ReleasedWeights) -> LoadReport:
    path = Path(weights.checkpoint)
    _check_made_alike(path, model.model_config, model.inputs_config)
    return load_released(model, path, may_lack=weights.may_lack)


def _load_encoders(model: GramModel, weights: EncoderWeights) -> list[LoadReport]:
    reports = []
    for part, path in weights.files.items():
        encoder, modalities = READERS[part]
        if modalities and not modalities & set(model.modalities):
            log.info("%s is not read: the model has no %s encoder", path, part)
            continue
        reports.append(load_encoder(model, Path(path), encoder=encoder))
    return reports


def _check_made_alike(path: Path, model: ModelConfig, inputs: InputsConfig) -> None:
    """Compare what a released checkpoint was made with, where that stands beside it."""
    released = read_released_settings(path)
    if released is None:
        log.info("no log/hps.json beside %s; its settings are not compared", path.parent)
        return
    for theirs, ours, value in (
        ("audio_melbins", "inputs.mel_bins", inputs.mel_bins),
        ("audio_target_length", "inputs.audio_frames", inputs.audio_frames),
        ("contra_dim", "model.embedding_width", model.embedding_width),
    ):
        if theirs in released and released[theirs] != value:
            raise ValueError(
                f"{path} was made with {theirs} {released[theirs]} (log/hps.json), the run has "
                f"{ours} {value}; set {ours} to {released[theirs]}"
            )


def _described(report: LoadReport) -> dict[str, object]:
    return {
        "path": str(report.path),
        "sha256": sha256_of(report.path),
        "loaded": len(report.loaded),
        "fitted": list(report.resized),
        "missing": list(report.missing),
        "without_a_place": len(report.rest),
    }
