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
    PicturesConfig,
    ShardsConfig,
    VocabularyConfig,
)
from gram.config.fetch import FetchConfig
from gram.config.run import (
    AudioConfig,
    EmbeddingConfig,
    EvaluationConfig,
    InputsConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    ScoreName,
    TextConfig,
    TrainingConfig,
    VisionConfig,
)
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
    "EmbeddingConfig",
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
    "PicturesConfig",
    "ProtocolConfig",
    "ReportConfig",
    "RunConfig",
    "ScoreName",
    "Section",
    "ShardsConfig",
    "TableConfig",
    "TableRow",
    "TextConfig",
    "TrainingConfig",
    "VisionConfig",
    "VocabularyConfig",
    "canonical_json",
    "describe_problems",
    "merged",
]
