"""Every setting: type, range, default, unit, meaning. Schema and documentation come from here.

Sections mirror the stages that read them; a job receives only the sections that it reads.
No torch here: rules import this package at every start of Snakemake.
"""

from gram.config.base import Fraction, Name, Section, canonical_json, describe_problems, merged
from gram.config.data import (
    Dataset,
    ExtractionConfig,
    FolderDataset,
    GeneratedDataset,
    PackingConfig,
    PicturesConfig,
    ShardsConfig,
    VocabularyConfig,
)
from gram.config.fetch import FetchConfig
from gram.config.model import AudioConfig, ModelConfig, TextConfig, VisionConfig
from gram.config.perception import DepthConfig, EstimateConfig, SpeechConfig, SubtitlesConfig
from gram.config.run import (
    EmbeddingConfig,
    EvaluationConfig,
    InputsConfig,
    LossConfig,
    RunConfig,
)
from gram.config.training import OptimizerConfig, ScoreName, TrainingConfig, ValidationConfig
from gram.config.weights import EncoderWeights, ReleasedWeights, WeightsConfig
from gram.config.whole import (
    BenchmarkConfig,
    Config,
    ProtocolConfig,
    ReportConfig,
    TableConfig,
    TableRow,
)

__all__ = [
    "AudioConfig",
    "BenchmarkConfig",
    "Config",
    "Dataset",
    "DepthConfig",
    "EmbeddingConfig",
    "EncoderWeights",
    "EstimateConfig",
    "EvaluationConfig",
    "ExtractionConfig",
    "FetchConfig",
    "FolderDataset",
    "Fraction",
    "GeneratedDataset",
    "InputsConfig",
    "LossConfig",
    "ModelConfig",
    "Name",
    "OptimizerConfig",
    "PackingConfig",
    "PicturesConfig",
    "ProtocolConfig",
    "ReleasedWeights",
    "ReportConfig",
    "RunConfig",
    "ScoreName",
    "Section",
    "ShardsConfig",
    "SpeechConfig",
    "SubtitlesConfig",
    "TableConfig",
    "TableRow",
    "TextConfig",
    "TrainingConfig",
    "ValidationConfig",
    "VisionConfig",
    "VocabularyConfig",
    "WeightsConfig",
    "canonical_json",
    "describe_problems",
    "merged",
]
