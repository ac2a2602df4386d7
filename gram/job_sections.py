"""How the sections of the settings that a job reads are chosen for it: names, then wildcards."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from gram.config import (
    Config,
    EvaluationConfig,
    PackingConfig,
    PicturesConfig,
    RunConfig,
    ScoreName,
    Section,
    canonical_json,
    parse_score,
)
from gram.config.reported import resolved, shown_scores
from gram.jobs import ClipUse, RerankConfig, SplitConfig

Chosen = Section | int | str | Sequence[str | Section] | Mapping[str, Any] | None

SECTIONS: dict[str, Callable[[Config, Mapping[str, str]], Chosen]] = {
    "dataset": lambda config, of: config.datasets[of["dataset"]],
    "finetune": lambda config, of: config.benchmarks[of["benchmark"]].finetune,
    "benchmark": lambda config, of: of["benchmark"],
    "protocol": lambda config, of: config.benchmarks[of["benchmark"]].protocol,
    "reranking": lambda config, of: _reranking(config.runs[of["run"]].evaluation),
    "prompts": lambda config, of: config.benchmarks[of["benchmark"]].protocol.prompts,
    "embedded_split": lambda config, of: embedded_split(config, of["benchmark"], of["split"]),
    "ranked_dataset": lambda config, of: config.benchmarks[of["benchmark"]].dataset,
    "trained_splits": lambda config, of: trained_splits(config, of["run"], of["benchmark"]),
    "weights": lambda config, of: _weights(config, of["run"]),
    "lineage": lambda config, of: config.lineage(of["run"]),
    "uses": lambda config, of: [
        use for use in clip_uses(config) if of.get("dataset") in (None, use.dataset)
    ],
    "shown_scores": lambda config, of: shown_scores(config, of["run"], of["benchmark"]),
    "resolved": lambda config, of: resolved(config),
    "table": lambda config, of: config.tables[of["table"]],
    "tables": lambda config, of: {table: config.tables[table] for table in config.targets},
    "pictures": lambda config, of: _pictures(config),
    "packing": lambda config, of: PackingConfig(target_mib=config.shards.target_mib),
    "speech": lambda config, of: config.subtitles.speech,
    "estimate": lambda config, of: config.depth.estimate,
    "report": lambda config, of: config.report.model_copy(update={"showcase": None}),
    "drawn_score": lambda config, of: drawn_score(config, of["run"], of["benchmark"]),
    "showcase": lambda config, of: config.showcase,
    "extraction": lambda config, of: config.extraction,
    "shards": lambda config, of: config.shards,
    "vocabulary": lambda config, of: config.vocabulary,
}
"""Sections by name, as the wildcards of a job choose them; all others are a run's own."""


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


def _section(config: Config, name: str, wildcards: Mapping[str, str]) -> Chosen:
    if name in SECTIONS:
        return SECTIONS[name](config, wildcards)
    if name not in RunConfig.model_fields:
        raise KeyError(f"no section of the settings is named {name!r}")
    of_run: Chosen = getattr(config.runs[wildcards["run"]], name)
    return of_run


def _weights(config: Config, run: str) -> Section | None:
    name = config.runs[run].weights
    return None if name is None else config.weights[name]


def _pictures(config: Config) -> PicturesConfig:
    of_pictures = set(PicturesConfig.model_fields)
    return PicturesConfig.model_validate(config.extraction.model_dump(include=of_pictures))


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
