"""Which sections of the settings each job reads.

A rule names sections, the wildcards choose among them (`gram.job_sections`), and the job reads them
back into its class.
"""

from typing import Any, Literal

from pydantic import Field

from gram.config import (
    EmbeddingConfig,
    EstimateConfig,
    EvaluationConfig,
    ExtractionConfig,
    FetchConfig,
    GeneratedDataset,
    InputsConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PackingConfig,
    PicturesConfig,
    PromptsConfig,
    ProtocolConfig,
    ReportConfig,
    ScoreName,
    Section,
    ShardsConfig,
    SpeechConfig,
    TableConfig,
    TableRow,
    TrainingConfig,
    VocabularyConfig,
    WeightsConfig,
)
from gram.config.sources import FileSource, SiteSource
from gram.types import Modality


class NoSettings(Section):
    """Of a job that reads no setting."""


class SourceSettings(Section):
    """Of fetch_source."""

    source: FileSource = Field(discriminator="kind")


class ClipSettings(Section):
    """Of fetch_clips."""

    fetch: FetchConfig
    site: SiteSource


class GenerateSettings(Section):
    """Of generate_clips."""

    dataset: GeneratedDataset


class ExtractSettings(Section):
    """Of extract_clips."""

    extraction: ExtractionConfig


class DepthSettings(Section):
    """Of read_depth: what it reads of the extraction."""

    pictures: PicturesConfig


class PackSettings(Section):
    """Of pack_shards: what it reads of the shards' settings."""

    packing: PackingConfig


class SpeechSettings(Section):
    """Of recognize_speech."""

    speech: SpeechConfig


class EstimateSettings(Section):
    """Of estimate_depth."""

    estimate: EstimateConfig


class IndexSettings(Section):
    """Of index_shards."""

    shards: ShardsConfig


class VocabularySettings(Section):
    """Of learn_vocabulary."""

    vocabulary: VocabularyConfig


class ImportSettings(Section):
    """Of import_weights."""

    seed: int
    model: ModelConfig
    inputs: InputsConfig
    weights: WeightsConfig


class TrainSettings(Section):
    """Of pretrain_model and finetune_model."""

    seed: int
    model: ModelConfig
    inputs: InputsConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    training: TrainingConfig


class SplitConfig(Section):
    """Which split is embedded, and how many of its clips at most; none: all."""

    name: str
    clips: int | None


class EmbedSettings(Section):
    """Of embed_benchmark.

    ``prompts`` says what the texts are; ``ranked_dataset`` names the benchmark's data set;
    ``trained_splits`` are the splits of it that the checkpoint was trained on; ``lineage`` names
    the run and those that it starts from.
    """

    inputs: InputsConfig
    embedding: EmbeddingConfig
    prompts: PromptsConfig
    embedded_split: SplitConfig
    ranked_dataset: str
    trained_splits: tuple[str, ...]
    lineage: tuple[str, ...]


class RerankConfig(Section):
    """Which scores are re-ranked, and how many candidates of each query the matching head reads."""

    scores: tuple[ScoreName, ...]
    keep: int


class MatchSettings(Section):
    """Of match_pairs."""

    inputs: InputsConfig
    protocol: ProtocolConfig
    reranking: RerankConfig


class ScoreSettings(Section):
    """Of score_retrieval."""

    benchmark: str
    protocol: ProtocolConfig
    evaluation: EvaluationConfig


class FigureSettings(Section):
    """Of draw_volumes, draw_checkpoints and draw_classes."""

    protocol: ProtocolConfig


class StrataSettings(Section):
    """Of draw_strata: by which score, and its cut-offs."""

    drawn_score: ScoreName
    evaluation: EvaluationConfig


class TableSettings(Section):
    """Of make_table."""

    table: TableConfig


class ClipUse(Section):
    """One use that a run makes of a split: which clips it can use is decided by the rest."""

    run: str
    purpose: Literal["pretraining", "finetuning", "evaluation"]
    dataset: str
    split: str
    modalities: tuple[Modality, ...]
    missing: Literal["drop", "mask"]
    needs_sound: bool = False


class PageSettings(Section):
    """Of show_retrieval. ``shown_scores`` are those by which lines of the report rank."""

    report: ReportConfig
    protocol: ProtocolConfig
    shown_scores: tuple[ScoreName, ...]


class AccountSettings(Section):
    """Of draw_account: what runs use of its data set."""

    uses: tuple[ClipUse, ...]


class ReportSettings(Section):
    """Of make_report. The line shown in detail is ``showcase``, whatever ``report`` says of it.

    ``uses`` are those of all lines that are shown; ``resolved`` are the settings that these go back
    to, as they stand once files are merged and defaults filled in.
    """

    report: ReportConfig
    tables: dict[str, TableConfig]
    showcase: TableRow
    uses: tuple[ClipUse, ...]
    resolved: dict[str, Any]
