"""Which sections of the settings each job reads, and how they are chosen for it.

A rule names sections, the wildcards choose among them, and the job reads them back into its class.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from gram.config import (
    Config,
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
    RunConfig,
    ScoreName,
    Section,
    ShardsConfig,
    SpeechConfig,
    TableConfig,
    TableRow,
    TrainingConfig,
    VocabularyConfig,
    WeightsConfig,
    canonical_json,
    parse_score,
)
from gram.config.reported import resolved, shown_scores
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


GLOBAL = ("extraction", "shards", "vocabulary")
"""Sections that stand once in the config, for every data set and run."""


def job_settings(config: Config, names: Sequence[str], wildcards: Mapping[str, str]) -> str:
    """Give the named sections as one canonical JSON string, for ``params``.

    Args:
        config: The whole of the settings.
        names: Names of sections; ``pretrain`` and ``finetune`` are given under ``training``.
        wildcards: The job's wildcards; ``run``, ``benchmark``, ``dataset`` and ``table`` choose.

    Raises:
        KeyError: If a section needs a wildcard that the job has not, or no such name is defined.
    """
    chosen = {}
    for name in names:
        key = "training" if name in {"pretrain", "finetune"} else name
        chosen[key] = _section(config, name, wildcards)
    return canonical_json(chosen)


def flat_settings(text: str) -> dict[str, str]:
    """Turn a job's settings, as JSON, into dotted names and texts."""
    flat: dict[str, str] = {}

    def collect(prefix: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        if isinstance(value, dict):
            for key, part in value.items():
                collect(f"{prefix}.{key}" if prefix else key, part)
        else:
            flat[prefix] = str(value)

    collect("", json.loads(text))
    return flat


def _section(
    config: Config, name: str, wildcards: Mapping[str, str]
) -> Section | int | str | Sequence[str | Section] | Mapping[str, Any] | None:
    match name:
        case "dataset":
            return config.datasets[wildcards["dataset"]]
        case "finetune":
            return config.benchmarks[wildcards["benchmark"]].finetune
        case "benchmark":
            return wildcards["benchmark"]
        case "protocol":
            return config.benchmarks[wildcards["benchmark"]].protocol
        case "reranking":
            return _reranking(config.runs[wildcards["run"]].evaluation)
        case "prompts":
            return config.benchmarks[wildcards["benchmark"]].protocol.prompts
        case "embedded_split":
            return embedded_split(config, wildcards["benchmark"], wildcards["split"])
        case "ranked_dataset":
            return config.benchmarks[wildcards["benchmark"]].dataset
        case "trained_splits":
            return trained_splits(config, wildcards["run"], wildcards["benchmark"])
        case "weights":
            weights = config.runs[wildcards["run"]].weights
            return None if weights is None else config.weights[weights]
        case "lineage":
            return config.lineage(wildcards["run"])
        case "uses":
            of_dataset = wildcards.get("dataset")
            return [use for use in clip_uses(config) if of_dataset in (None, use.dataset)]
        case "shown_scores":
            return shown_scores(config, wildcards["run"], wildcards["benchmark"])
        case "resolved":
            return resolved(config)
        case "table":
            return config.tables[wildcards["table"]]
        case "tables":
            return {table: config.tables[table] for table in config.targets}
        case "pictures":
            of_pictures = set(PicturesConfig.model_fields)
            return PicturesConfig.model_validate(config.extraction.model_dump(include=of_pictures))
        case "packing":
            return PackingConfig(target_mib=config.shards.target_mib)
        case "speech":
            return config.subtitles.speech
        case "estimate":
            return config.depth.estimate
        case "report":
            return config.report.model_copy(update={"showcase": None})
        case "drawn_score":
            return drawn_score(config, wildcards["run"], wildcards["benchmark"])
        case "showcase":
            return config.showcase
        case _ if name in GLOBAL:
            section: Section = getattr(config, name)
            return section
        case _:
            if name not in RunConfig.model_fields:
                raise KeyError(f"no section of the settings is named {name!r}")
            of_run: Section | int = getattr(config.runs[wildcards["run"]], name)
            return of_run


def _reranking(evaluation: EvaluationConfig) -> RerankConfig:
    reranked = tuple(name for name in evaluation.scores if parse_score(name).is_reranked)
    return RerankConfig(scores=reranked, keep=evaluation.rerank)


def drawn_score(config: Config, run: str, benchmark: str) -> ScoreName:
    """Name the score that figures of one run on one benchmark are of: shown in detail, or first."""
    shown = config.showcase
    if (shown.run, shown.benchmark) == (run, benchmark):
        return shown.score
    return config.runs[run].evaluation.scores[0]


def embedded_split(config: Config, benchmark: str, split: str) -> SplitConfig:
    """Say how many clips of a split are embedded: all, if a benchmark ranks it."""
    sharing = [
        one.protocol
        for name, one in config.benchmarks.items()
        if config.embedded_as(name) == config.embedded_as(benchmark)
    ]
    if any(protocol.split == split for protocol in sharing):
        return SplitConfig(name=split, clips=None)
    fitted = [protocol.fit_clips for protocol in sharing if protocol.fit_split == split]
    return SplitConfig(name=split, clips=max(fitted, default=None))


def trained_splits(config: Config, run: str, benchmark: str) -> tuple[str, ...]:
    """Name the splits of a benchmark's data set that the evaluated checkpoint was trained on."""
    target = config.benchmarks[benchmark]
    trained = [config.runs[name] for name in config.lineage(run)]
    splits = {one.pretrain.split for one in trained if one.pretrain_dataset == target.dataset}
    if target.finetune is not None:
        splits.add(target.finetune.split)
    return tuple(sorted(splits))


def clip_uses(config: Config) -> tuple[ClipUse, ...]:
    """List what the lines of the report, and the runs that they start from, use of data sets."""
    rows = [row for table in config.targets for row in config.tables[table].rows]
    pairs = dict.fromkeys(
        (run, row.benchmark) for row in (*rows, config.showcase) for run in row.runs
    )
    return tuple(
        dict.fromkeys(use for run, name in pairs for use in _uses_of(config, run, benchmark=name))
    )


def _uses_of(config: Config, run: str, *, benchmark: str) -> Iterator[ClipUse]:
    """Give what one line uses, in the order of time."""
    for name in reversed(config.lineage(run)):
        dataset = config.runs[name].pretrain_dataset
        if dataset is not None:
            yield _use(config, name, "pretraining", dataset, config.runs[name].pretrain.split)
    target = config.benchmarks[benchmark]
    if target.finetune is not None:
        yield _use(config, run, "finetuning", target.dataset, target.finetune.split)
    protocol = target.protocol
    ranked = _use(config, run, "evaluation", target.dataset, protocol.split)
    if protocol.gallery == "as_run":
        yield ranked
    else:
        needs_sound = protocol.gallery == "with_sound"
        yield ranked.model_copy(update={"missing": "mask", "needs_sound": needs_sound})


def _use(
    config: Config,
    run: str,
    purpose: Literal["pretraining", "finetuning", "evaluation"],
    dataset: str,
    split: str,
) -> ClipUse:
    return ClipUse(
        run=run,
        purpose=purpose,
        dataset=dataset,
        split=split,
        modalities=config.runs[run].model.modalities,
        missing=config.runs[run].inputs.missing,
    )
