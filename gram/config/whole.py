"""The whole of the settings, with its checks across sections."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic import Field, model_validator

from gram.config.base import Name, Section, merged
from gram.config.benchmark import BenchmarkConfig
from gram.config.checks import check_halves, check_kept, check_start, check_training
from gram.config.data import (
    Dataset,
    ExtractionConfig,
    FolderDataset,
    ShardsConfig,
    VocabularyConfig,
)
from gram.config.perception import DepthConfig, SubtitlesConfig
from gram.config.run import RunConfig
from gram.config.scores import is_plain, parse_score
from gram.config.seeds import spread_seeds
from gram.config.tables import ReportConfig, TableConfig, TableRow
from gram.config.training import TrainingConfig
from gram.config.weights import WeightsConfig
from gram.stages import VERSIONS
from gram.types import Modality

_TARGETS = frozenset({"all", "fetch", "figures", "report", *VERSIONS})
"""Names of rules, which a table's target cannot have."""


def _with_null(schema: dict[str, Any]) -> None:
    """Let the values of a mapping be null in the schema.

    Not by "anyOf": a validator would then say that no choice fits, and not what is wrong.
    """
    for pattern, value in schema["patternProperties"].items():
        section = {"type": ["object", "null"], "if": {"type": "object"}, "then": value}
        schema["patternProperties"][pattern] = section


class Config(Section):
    """The whole of config/config.yaml and its overlays."""

    targets: tuple[Name, ...] = Field(
        min_length=1, description="Tables that a plain `snakemake` makes, and the report shows."
    )
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    extraction: ExtractionConfig = ExtractionConfig()
    subtitles: SubtitlesConfig = SubtitlesConfig()
    depth: DepthConfig = DepthConfig()
    shards: ShardsConfig = ShardsConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    weights: dict[Name, WeightsConfig] = Field(
        default_factory=dict, description="Weight files of others that runs start from."
    )
    defaults: RunConfig = Field(RunConfig(), description="What every run starts from.")
    runs: dict[Name, RunConfig] = Field(
        default_factory=dict,
        description="What each run has otherwise than the defaults; null: nothing.",
        json_schema_extra=_with_null,
    )
    benchmarks: dict[Name, BenchmarkConfig] = Field(default_factory=dict)
    tables: dict[Name, TableConfig] = Field(default_factory=dict)
    report: ReportConfig = ReportConfig()

    @model_validator(mode="before")
    @classmethod
    def _runs_start_from_defaults(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic's own type
        if not isinstance(data, Mapping):
            return data
        defaults, runs = data.get("defaults") or {}, data.get("runs") or {}
        if not isinstance(defaults, Mapping) or not isinstance(runs, Mapping):
            return data
        whole = {
            name: merged(defaults, run) if isinstance(run, Mapping) else run
            for name, run in ((name, {} if run is None else run) for name, run in runs.items())
        }
        return spread_seeds({**data, "runs": whole})

    @model_validator(mode="after")
    def _table_names_are_free(self) -> "Config":
        if taken := _TARGETS & set(self.tables):
            raise ValueError(
                f"a table cannot be named {min(taken)!r}: that is a rule of the workflow; "
                "give it another name"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for where, kind, name, known in self._references():
            if name not in known:
                raise ValueError(
                    f"{where} names the {kind} {name!r}, which is not there; "
                    f"found: {', '.join(sorted(known)) or 'none'}"
                )
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> "Config":
        for name, run in self.runs.items():
            if run.weights is None:
                continue
            for key, value in (("start", run.start), ("inputs.vocabulary", run.inputs.vocabulary)):
                if value is not None:
                    raise ValueError(
                        f"runs.{name} has weights {run.weights!r} and {key} {value!r} too; the "
                        f"weights say what it starts from: set {key} to null, or drop them"
                    )
        return self

    @model_validator(mode="after")
    def _starts_fit(self) -> "Config":
        for name in self.runs:
            for later, earlier in pairwise(self.lineage(name)):
                check_start(later, self.runs[later], self.runs[earlier])
        return self

    @model_validator(mode="after")
    def _tables_can_be_made(self) -> "Config":
        for where, row in self._lines():
            for run in row.runs:
                self._check_line(where, row, run=run)
        return self

    def _check_line(self, where: str, row: TableRow, *, run: str) -> None:
        for name in self.lineage(run):
            one = self.runs[name]
            if one.pretrain_dataset is None and one.weights is None:
                raise ValueError(
                    f"runs.{name} has no pretrain_dataset; name one of: "
                    f"{', '.join(sorted(self.datasets)) or 'none is defined'}, or give the "
                    "run weights of others"
                )
        if self.benchmarks[row.benchmark].protocol.fit_split is None:
            check_halves(where, self.runs[run], name=run, benchmark=row.benchmark)
        scores = self.runs[run].evaluation.scores
        if row.score not in scores:
            raise ValueError(
                f"{where} asks for the score {row.score!r} of run {run!r}, whose "
                f"evaluation.scores are {', '.join(scores)}; add it there"
            )

    @model_validator(mode="after")
    def _runs_can_be_trained(self) -> "Config":
        for name, run in self.runs.items():
            if run.pretrain_dataset is not None:
                check_training(f"runs.{name}.pretrain", run.pretrain, run, name=name)
        for _, row in self._lines():
            training = self.benchmarks[row.benchmark].finetune
            if training is not None:
                where = f"benchmarks.{row.benchmark}.finetune"
                for name in row.runs:
                    check_training(where, training, self.runs[name], name=name)
        return self

    @model_validator(mode="after")
    def _nothing_is_chosen_on_what_is_ranked(self) -> "Config":
        for where, dataset, training in self._trainings():
            validation = training.validation
            if validation is None or validation.split is None:
                continue
            for name, benchmark in self.benchmarks.items():
                ranked = benchmark.protocol.split
                if (benchmark.dataset, ranked) == (dataset, validation.split):
                    raise ValueError(
                        f"{where}.validation.split is {ranked!r} of {dataset}, which "
                        f"benchmarks.{name} ranks: weights chosen on it would flatter the result; "
                        "name another split, or hold clips of the training split out with held_out"
                    )
        return self

    def embedded_as(self, benchmark: str) -> str:
        """Name the benchmark under which the checkpoint and the embeddings of one are kept.

        Benchmarks that differ in their protocol alone share both, under the name of the first.
        """
        asked = self.benchmarks[benchmark]
        return next(
            name
            for name, one in self.benchmarks.items()
            if (one.dataset, one.finetune, one.protocol.prompts)
            == (asked.dataset, asked.finetune, asked.protocol.prompts)
        )

    @property
    def showcase(self) -> TableRow:
        """The line of a table that the report shows in detail."""
        if self.report.showcase is not None:
            return self.report.showcase
        rows = self.tables[self.targets[0]].rows
        single = [row.of_run(row.runs[0]) for row in rows]
        others = [
            row.model_copy(update={"score": score})
            for row in single
            for score in self.runs[row.run].evaluation.scores
        ]
        plain = [row for row in (*others, *single) if is_plain(row.score)]
        return (plain or single)[-1]

    @model_validator(mode="after")
    def _showcase_is_plain(self) -> "Config":
        if not is_plain(self.showcase.score):
            raise ValueError(
                f"the report shows a line in detail by a score of vectors alone, found "
                f"{self.showcase.score!r}; name another one in report.showcase"
            )
        return self

    @model_validator(mode="after")
    def _scores_fit_modalities(self) -> "Config":
        for name, run in self.runs.items():
            for score in run.evaluation.scores:
                try:
                    spec = parse_score(score)
                    spec.modalities_of(run.model.modalities)
                    if spec.is_reranked:
                        spec.read_of(run.model.modalities)
                except ValueError as error:
                    raise ValueError(f"runs.{name}.evaluation.scores: {error}") from None
        return self

    @model_validator(mode="after")
    def _modalities_have_a_source(self) -> "Config":
        """Check the runs that are made by default: of others, nothing is asked for yet."""
        rows = [row for table in self.targets for row in self.tables[table].rows]
        sources: dict[Modality, tuple[str, str]] = {
            Modality.SUBTITLE: ("subtitles", self.subtitles.source),
            Modality.DEPTH: ("depth", self.depth.source),
        }
        for name in dict.fromkeys(run for row in (*rows, self.showcase) for run in row.runs):
            for modality in self.runs[name].model.modalities:
                section, source = sources.get(modality, ("", ""))
                if source == "none":
                    raise ValueError(
                        f"runs.{name} has the modality {modality.value!r}, but {section}.source "
                        "is 'none', so no clip would have it; take it out of model.modalities, or "
                        "name a source"
                    )
        return self

    @model_validator(mode="after")
    def _inputs_fit_extraction(self) -> "Config":
        for name, run in self.runs.items():
            if {Modality.VIDEO, Modality.DEPTH} & set(run.model.modalities):
                check_kept(name, run, self.extraction)
        return self

    def _lines(self) -> list[tuple[str, TableRow]]:
        """List every line of a table with where it stands; the report's showcase is one."""
        lines = [
            (f"tables.{name}", row) for name, table in self.tables.items() for row in table.rows
        ]
        if self.report.showcase is not None:
            lines.append(("report.showcase", self.report.showcase))
        return lines

    def _references(self) -> list[tuple[str, str, str, set[str]]]:
        """List every name that refers to another section: where, kind, name, names known there."""
        tables, runs, benchmarks = set(self.tables), set(self.runs), set(self.benchmarks)
        found = [("targets", "table", table, tables) for table in self.targets]
        for run, run_config in self.runs.items():
            if run_config.start is not None:
                found.append((f"runs.{run}.start", "run", run_config.start, runs))
            if run_config.weights is not None:
                found.append(
                    (f"runs.{run}.weights", "weights", run_config.weights, set(self.weights))
                )
            if run_config.pretrain_dataset is not None:
                dataset, split = run_config.pretrain_dataset, run_config.pretrain.split
                found += self._split_references(f"runs.{run}", dataset, split)
        for where, dataset, training in self._trainings():
            if training.validation is not None and training.validation.split is not None:
                validated = training.validation.split
                found += self._split_references(f"{where}.validation", dataset, validated)
        for benchmark, config in self.benchmarks.items():
            where = f"benchmarks.{benchmark}"
            found += self._split_references(where, config.dataset, config.protocol.split)
            if config.protocol.fit_split is not None:
                found += self._split_references(where, config.dataset, config.protocol.fit_split)
            if config.finetune is not None:
                found += self._split_references(where, config.dataset, config.finetune.split)
        for where, row in self._lines():
            found += [(where, "run", run, runs) for run in row.runs]
            found.append((where, "benchmark", row.benchmark, benchmarks))
        return found

    def _trainings(self) -> list[tuple[str, str, TrainingConfig]]:
        """List every training: where it stands, its data set, its settings."""
        pretrained = [
            (f"runs.{name}.pretrain", run.pretrain_dataset, run.pretrain)
            for name, run in self.runs.items()
            if run.pretrain_dataset is not None
        ]
        finetuned = [
            (f"benchmarks.{name}.finetune", one.dataset, one.finetune)
            for name, one in self.benchmarks.items()
            if one.finetune is not None
        ]
        return [*pretrained, *finetuned]

    def _split_references(
        self, where: str, dataset: str, split: str
    ) -> list[tuple[str, str, str, set[str]]]:
        found = [(where, "data set", dataset, set(self.datasets))]
        if dataset in self.datasets:
            found.append((where, f"split of {dataset}", split, self.splits(dataset)))
        return found

    def lineage(self, run: str) -> tuple[str, ...]:
        """Name a run, the run that its pretraining starts from, the one before that, and so on.

        Raises:
            ValueError: If a run would start from itself.
        """
        names = [run]
        while (start := self.runs[names[-1]].start) is not None:
            if start in names:
                raise ValueError(f"runs start from each other: {' from '.join([*names, start])}")
            names.append(start)
        return tuple(names)

    def splits(self, dataset: str) -> set[str]:
        """Name the splits of a data set."""
        config = self.datasets[dataset]
        return set(config.annotations if isinstance(config, FolderDataset) else config.clips)
