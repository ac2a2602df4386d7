"""Every setting: type, range, default, unit, meaning. Schema and documentation come from here.

Sections mirror the stages that read them; a job receives only the sections that it reads.
No torch here: rules import this package at every start of Snakemake.
"""

from gram.config.base import Fraction, Name, Section, canonical_json, describe_problems, merged
from gram.config.benchmark import BenchmarkConfig, PromptsConfig, ProtocolConfig
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
from gram.config.scores import (
    LETTERS,
    Kind,
    PlainScoreName,
    ScoreName,
    ScoreSpec,
    parse_score,
)
from gram.config.tables import ReportConfig, TableConfig, TableRow
from gram.config.training import OptimizerConfig, TrainingConfig, ValidationConfig
from gram.config.weights import EncoderWeights, ReleasedWeights, WeightsConfig
from gram.config.whole import Config

__all__ = [
    "LETTERS",
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
    "Kind",
    "LossConfig",
    "ModelConfig",
    "Name",
    "OptimizerConfig",
    "PackingConfig",
    "PicturesConfig",
    "PlainScoreName",
    "PromptsConfig",
    "ProtocolConfig",
    "ReleasedWeights",
    "ReportConfig",
    "RunConfig",
    "ScoreName",
    "ScoreSpec",
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
    "parse_score",
]
