"""Settings, wildcard patterns and input functions. Python stands here and in common_*.smk."""

import os
import re
import time
from pathlib import Path

from pydantic import ValidationError
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from gram.config import Config, describe_problems
from gram.fetch.plan import make_plan
from gram.jobs import job_settings
from gram.perception.folders import model_files
from gram.stages import stage_version
from gram.tracking import ADDRESS_VARIABLE, default_address
from gram.workflow import (
    INVOCATION_VARIABLE,
    finish_workflow,
    refuse_second_start,
    write_rules,
)

try:
    CONFIG = Config.model_validate(config)
except ValidationError as error:
    raise WorkflowError(f"the settings cannot be used:\n{describe_problems(error)}") from None
validate(config, "../config/config.schema.json", set_default=False)
try:
    PLAN = make_plan(CONFIG)
except ValueError as error:
    raise WorkflowError(str(error)) from None


def model_inputs(model, setting, is_used):
    """Files of a model that stands in a folder; one that is not there ends the workflow at once."""
    try:
        return model_files(model, setting=setting) if is_used else []
    except ValueError as error:
        raise WorkflowError(str(error)) from None


SPEECH_MODEL = model_inputs(
    CONFIG.subtitles.speech.model,
    "subtitles.speech.model",
    is_used=CONFIG.subtitles.source == "speech",
)
DEPTH_MODEL = model_inputs(
    CONFIG.depth.estimate.model,
    "depth.estimate.model",
    is_used=CONFIG.depth.source == "estimate",
)

# Jobs inherit both: where to track, and which start of the workflow they belong to.
os.environ.setdefault(ADDRESS_VARIABLE, default_address())
os.environ.setdefault(INVOCATION_VARIABLE, f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")


wildcard_constraints:
    dataset="|".join(CONFIG.datasets) or "none",
    source="|".join(PLAN.sources) or "none",
    annotation="|".join(map(re.escape, PLAN.annotations)) or "none",
    chunk=r"\d{4}",
    split="[a-z0-9_]+",
    run="|".join(CONFIG.runs) or "none",
    benchmark="|".join(CONFIG.benchmarks) or "none",
    table="|".join(CONFIG.tables) or "none",


def refuse_second_start_of(jobs):
    """End the workflow if a job of an earlier start still makes what one of these is to make."""
    try:
        refuse_second_start(str(job.output[0]) for job in jobs if job.output)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def settings(*sections):
    """Params function: the named sections that the wildcards choose, as one string."""

    def sections_of_job(wildcards):
        return job_settings(CONFIG, sections, dict(wildcards.items()))

    return sections_of_job


def retries(count):
    """Tries after the first; none inside a job, since the workflow that started it counts them."""
    return count if workflow.is_main_process else 0


def chunk_names(dataset):
    """Names of a data set's chunks, values of the wildcard."""
    return [f"{number:04d}" for number in range(CONFIG.datasets[dataset].chunks)]


def of_chunks(pattern):
    """Input function: the pattern for each chunk of the data set."""

    def files(wildcards):
        return expand(pattern, dataset=wildcards.dataset, chunk=chunk_names(wildcards.dataset))

    return files


def end_workflow(message):
    """End this start with a message, from an input function.

    Of a WorkflowError there Snakemake takes that this file cannot be made; where it was made before
    it would be kept as it is, without a word.
    """
    raise SystemExit(message)


def keeps_going():
    """Whether what does not depend on a failed job is still to be made."""
    is_main = workflow.is_main_process and workflow.execution_settings is not None
    return is_main and workflow.execution_settings.keep_going


def annotation_files(wildcards):
    """Annotation files of a data set; one that is not there ends the workflow before any job.

    With --keep-going it ends what depends on that data set, by a job that fails in its place.
    """
    dataset = CONFIG.datasets[wildcards.dataset]
    if dataset.kind == "generated":
        return of_chunks(rules.generate_clips.output.annotations)(wildcards)
    found = [(split, path) for split, paths in dataset.annotations.items() for path in paths]
    for split, path in found:
        if path not in PLAN.annotations and not Path(path).is_file():
            if keeps_going():
                return expand(rules.find_annotations.output.receipt, dataset=wildcards.dataset)
            end_workflow(
                f"annotation file {path} is not there (datasets.{wildcards.dataset}."
                f"annotations.{split}); put it there, or change that setting"
            )
    return [path for _, path in found]


def annotation_paths(wildcards):
    """Params function: all annotation files that are to be put there by hand, be they or not."""
    annotations = CONFIG.datasets[wildcards.dataset].annotations
    return [
        path for paths in annotations.values() for path in paths if path not in PLAN.annotations
    ]


def annotation_splits(wildcards):
    """Split of each annotation file; empty where each record names its own."""
    dataset = CONFIG.datasets[wildcards.dataset]
    if dataset.kind == "generated":
        return []
    return [split for split, paths in dataset.annotations.items() for _ in paths]


def annotation_format(wildcards):
    """Which data set's annotations the files are; those of generated clips are as own ones."""
    dataset = CONFIG.datasets[wildcards.dataset]
    return "own" if dataset.kind == "generated" else dataset.format


def clips_of_chunk(wildcards):
    """Part of the clips table that a chunk works on, once the table is made."""
    table = Path(checkpoints.make_clips.get(dataset=wildcards.dataset).output.clips)
    part = table.with_suffix("") / f"{wildcards.chunk}.parquet"
    if not part.is_file():
        raise WorkflowError(f"{part} is not there; delete {table}, which is made with it anew")
    return str(part)


def datasets_behind(wildcards):
    """Data sets whose clips a job's outputs go back to; those of the report where none is named."""
    if hasattr(wildcards, "dataset"):
        return [wildcards.dataset]
    if hasattr(wildcards, "benchmark") and not hasattr(wildcards, "run"):
        pairs = [(run, wildcards.benchmark) for run in volume_runs(wildcards.benchmark)]
    elif hasattr(wildcards, "run"):
        pairs = [(wildcards.run, getattr(wildcards, "benchmark", None))]
    else:
        has_table = hasattr(wildcards, "table")
        pairs = row_pairs(wildcards.table) if has_table else report_pairs(*CONFIG.targets)
    runs = [name for run, _ in pairs for name in CONFIG.lineage(run)]
    found = [CONFIG.runs[run].pretrain_dataset for run in runs]
    found += [CONFIG.benchmarks[name].dataset for _, name in pairs if name is not None]
    return list(dict.fromkeys(one for one in found if one is not None))


def clips_made(wildcards):
    """No file: a job that has this input is looked at anew once the clips behind it are read.

    Snakemake plans all that follows from a table of clips that is to be made. Of that, it leaves
    out what proves unchanged when the table is there, if the job itself asks for the table.
    """
    for dataset in datasets_behind(wildcards):
        checkpoints.make_clips.get(dataset=dataset)
    return []


def chunk_count(wildcards):
    """Number of chunks of a data set."""
    return CONFIG.datasets[wildcards.dataset].chunks


def unless_perceived(path):
    """Mark an archive as temporary, unless models read it: another model must not decode again."""
    is_perceived = CONFIG.subtitles.source == "speech" or CONFIG.depth.source == "estimate"
    return path if is_perceived else temp(path)


def subtitle_table(wildcards):
    """Subtitles of a chunk, from where the settings say; none where they say none."""
    tables = {
        "annotations": rules.read_subtitles.output.table,
        "speech": rules.recognize_speech.output.table,
        "none": [],
    }
    return expand(tables[CONFIG.subtitles.source], **wildcards)


def depth_rule():
    """Rule that gives depth maps, or none."""
    sources = {"files": rules.read_depth, "estimate": rules.estimate_depth, "none": None}
    return sources[CONFIG.depth.source]


def depth_archive(wildcards):
    """Depth maps of a chunk."""
    source = depth_rule()
    return [] if source is None else expand(source.output.archive, **wildcards)


def depth_table(wildcards):
    """Which clips of a chunk have depth maps."""
    source = depth_rule()
    return [] if source is None else expand(source.output.table, **wildcards)


def pretraining_index(wildcards):
    """Shard index that a run is pretrained on."""
    dataset = CONFIG.runs[wildcards.run].pretrain_dataset
    return expand(rules.index_shards.output.index, dataset=dataset)


def vocabulary_file(wildcards):
    """Word pieces of a run: the file that it names, or those learned from its training texts.

    None for a run that starts from a checkpoint, which holds them.
    """
    run = CONFIG.runs[wildcards.run]
    if run.start is not None or run.weights is not None:
        return []
    if run.inputs.vocabulary is not None:
        return [run.inputs.vocabulary]
    return expand(
        rules.learn_vocabulary.output.pieces,
        dataset=run.pretrain_dataset,
        split=run.pretrain.split,
    )


def weight_files(wildcards):
    """Weight files of others; one that is not there ends the workflow before any job."""
    name = CONFIG.runs[wildcards.run].weights
    weights = CONFIG.weights[name]
    files = {**weights.files, "vocabulary": weights.vocabulary}
    for setting, path in files.items():
        if not Path(path).is_file():
            end_workflow(
                f"weight file {path} is not there (weights.{name}.{setting}); put it there, or "
                "change that setting (where each file is had: THIRD_PARTY.md)"
            )
    return list(files.values())


def checkpoint_of(run):
    """Checkpoint of a run before any finetuning: pretrained, or as its files were."""
    is_pretrained = CONFIG.runs[run].pretrain_dataset is not None
    made_by = rules.pretrain_model if is_pretrained else rules.import_weights
    return expand(made_by.output.checkpoint, run=run)


def pretraining_start(wildcards):
    """Checkpoint that a run's pretraining starts from, if it is another run's or imported."""
    run = CONFIG.runs[wildcards.run]
    if run.weights is not None:
        return expand(rules.import_weights.output.checkpoint, run=wildcards.run)
    return [] if run.start is None else checkpoint_of(run.start)


def zero_shot_checkpoint(wildcards):
    """Checkpoint that a run has before any finetuning."""
    return checkpoint_of(wildcards.run)


def benchmark_index(wildcards):
    """Shard index of a benchmark's data set."""
    dataset = CONFIG.benchmarks[wildcards.benchmark].dataset
    return expand(rules.index_shards.output.index, dataset=dataset)


def benchmark_checkpoint(wildcards):
    """Checkpoint that is evaluated: finetuned for the benchmark, or pretrained (zero-shot)."""
    if CONFIG.benchmarks[wildcards.benchmark].finetune is None:
        return zero_shot_checkpoint(wildcards)
    return expand(
        rules.finetune_model.output.checkpoint,
        run=wildcards.run,
        benchmark=CONFIG.embedded_as(wildcards.benchmark),
    )
