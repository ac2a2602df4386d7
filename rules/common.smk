"""Settings, wildcard patterns and input functions. The only rules file that holds Python."""

import os
import re
import time
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from gram.config import Config, canonical_json, describe_problems
from gram.data.media_files import UNCHANGED, media_digests
from gram.fetch.plan import FOLDER, make_plan, num_retries
from gram.jobs import job_settings
from gram.stages import stage_version
from gram.tracking import ADDRESS_VARIABLE, default_address
from gram.workflow import INVOCATION_VARIABLE, finish_workflow

try:
    CONFIG = Config.model_validate(config)
except ValidationError as error:
    raise WorkflowError(f"the settings cannot be used:\n{describe_problems(error)}") from None
validate(config, "../config/config.schema.json", set_default=False)
try:
    PLAN = make_plan(CONFIG)
except ValueError as error:
    raise WorkflowError(str(error)) from None

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


def settings(*sections):
    """Params function: the named sections that the wildcards choose, as one string."""

    def sections_of_job(wildcards):
        return job_settings(CONFIG, sections, dict(wildcards.items()))

    return sections_of_job


def chunk_names(dataset):
    """Names of a data set's chunks, values of the wildcard."""
    return [f"{number:04d}" for number in range(CONFIG.datasets[dataset].chunks)]


def of_chunks(pattern):
    """Input function: the pattern for each chunk of the data set."""

    def files(wildcards):
        return expand(pattern, dataset=wildcards.dataset, chunk=chunk_names(wildcards.dataset))

    return files


def annotation_files(wildcards):
    """Annotation files of a data set; one that is not there ends the workflow before any job."""
    dataset = CONFIG.datasets[wildcards.dataset]
    if dataset.kind == "generated":
        return of_chunks(rules.generate_clips.output.annotations)(wildcards)
    for split, path in dataset.annotations.items():
        if path not in PLAN.annotations and not Path(path).is_file():
            raise WorkflowError(
                f"annotation file {path} is not there (datasets.{wildcards.dataset}."
                f"annotations.{split}); put it there, or change that setting"
            )
    return list(dataset.annotations.values())


def annotation_splits(wildcards):
    """Split of each annotation file; empty where each record names its own."""
    dataset = CONFIG.datasets[wildcards.dataset]
    return list(dataset.annotations) if dataset.kind == "folder" else []


def folder_of_media(name):
    """Folder of the media files of a data set."""
    dataset = CONFIG.datasets[name]
    return f"results/generated/{name}/media" if dataset.kind == "generated" else dataset.media


def media_folder(wildcards):
    """Params function: the folder of a data set's media files."""
    return folder_of_media(wildcards.dataset)


def source_settings(wildcards):
    """What the table of sources says of a file."""
    return canonical_json({"source": PLAN.sources[wildcards.source]})


def clip_settings(wildcards):
    """How the clips of a data set are fetched, and from which site."""
    dataset = wildcards.dataset
    return canonical_json(
        {"fetch": CONFIG.datasets[dataset].fetch, "site": PLAN.sources[PLAN.sites[dataset]]}
    )


def folder_of_source(wildcards):
    """Folder that the file of a source goes to."""
    return str(FOLDER / wildcards.source)


def media_of_source(wildcards):
    """Folder that the media files of an archive go to; empty for any other source."""
    return PLAN.folders.get(wildcards.source, "")


def giver_of_annotation(wildcards):
    """Receipt of the source that gives an annotation file."""
    source = PLAN.annotations[wildcards.annotation]
    (receipt,) = expand(rules.fetch_source.output.receipt, source=source)
    return receipt


def received_archives(wildcards):
    """Receipts of the archives that hold a data set's media files."""
    archives = PLAN.archives.get(wildcards.dataset, ())
    return expand(rules.fetch_source.output.receipt, source=archives)


def fetched_clips(wildcards):
    """Table of what became of a chunk's clips, where they are fetched one by one."""
    if wildcards.dataset not in PLAN.sites:
        return []
    return expand(rules.fetch_clips.output.table, **wildcards)


def retries_of_chunk(wildcards):
    """How often `retry_fetch` found clips of a chunk that another try may bring."""
    (table,) = expand(rules.fetch_clips.output.table, **wildcards)
    return num_retries(Path(table))


def all_fetched_clips(wildcards):
    """Tables of all chunks of all data sets whose clips are fetched one by one."""
    return [
        table
        for dataset in PLAN.sites
        for table in expand(
            rules.fetch_clips.output.table, dataset=dataset, chunk=chunk_names(dataset)
        )
    ]


def everything_fetched(wildcards):
    """Whatever the settings ask to fetch."""
    files = [name for name in PLAN.sources if name not in PLAN.sites.values()]
    receipts = expand(rules.fetch_source.output.receipt, source=files)
    return [*receipts, *PLAN.annotations, *all_fetched_clips(wildcards)]


def written_by_workflow(dataset, chunk):
    """Files that are written after the media files of a chunk that the workflow brings there."""
    if CONFIG.datasets[dataset].kind == "generated":
        return expand(rules.generate_clips.output.annotations, dataset=dataset, chunk=chunk)
    archives = PLAN.archives.get(dataset, ())
    written = expand(rules.fetch_source.output.receipt, source=archives)
    if dataset in PLAN.sites:
        written += expand(rules.fetch_clips.output.table, dataset=dataset, chunk=chunk)
    return written


@lru_cache
def media_digests_of(dataset):
    """Digests of all chunks of a data set, from one walk through its folder."""
    chunks = CONFIG.datasets[dataset].chunks
    written = [written_by_workflow(dataset, chunk) for chunk in chunk_names(dataset)]
    times = [
        max((Path(path).stat().st_mtime_ns for path in paths if Path(path).is_file()), default=0)
        for paths in written
    ]
    return media_digests(Path(folder_of_media(dataset)), chunks=chunks, changed_after_ns=times)


def media_of_chunk(wildcards):
    """Digest of names, sizes and times of a chunk's media: a changed file runs its chunk again.

    It takes nothing but wildcards: Snakemake does not compare params that are made from inputs.
    Params are compared before any job runs, so of media that the workflow generates or fetches
    only those count that changed afterwards.
    """
    written = written_by_workflow(wildcards.dataset, wildcards.chunk)
    if not all(Path(path).is_file() for path in written):
        return UNCHANGED
    try:
        return media_digests_of(wildcards.dataset)[int(wildcards.chunk)]
    except ValueError as error:
        raise WorkflowError(f"datasets.{wildcards.dataset}.media: {error}") from None


def chunk_count(wildcards):
    """Number of chunks of a data set."""
    return CONFIG.datasets[wildcards.dataset].chunks


def pretraining_index(wildcards):
    """Shard index that a run is pretrained on."""
    dataset = CONFIG.runs[wildcards.run].pretrain_dataset
    return expand(rules.index_shards.output.index, dataset=dataset)


def vocabulary_file(wildcards):
    """Word pieces of a run: the file that it names, or those learned from its training texts.

    None for a run that starts from another one, whose checkpoint holds them.
    """
    run = CONFIG.runs[wildcards.run]
    if run.start is not None:
        return []
    if run.inputs.vocabulary is not None:
        return [run.inputs.vocabulary]
    return expand(
        rules.learn_vocabulary.output.pieces,
        dataset=run.pretrain_dataset,
        split=run.pretrain.split,
    )


def pretraining_start(wildcards):
    """Checkpoint that a run's pretraining starts from, if it starts from another run."""
    start = CONFIG.runs[wildcards.run].start
    return [] if start is None else expand(rules.pretrain_model.output.checkpoint, run=start)


def benchmark_index(wildcards):
    """Shard index of a benchmark's data set."""
    dataset = CONFIG.benchmarks[wildcards.benchmark].dataset
    return expand(rules.index_shards.output.index, dataset=dataset)


def benchmark_checkpoint(wildcards):
    """Checkpoint that is evaluated: finetuned for the benchmark, or pretrained (zero-shot)."""
    if CONFIG.benchmarks[wildcards.benchmark].finetune is None:
        return expand(rules.pretrain_model.output.checkpoint, run=wildcards.run)
    return expand(
        rules.finetune_model.output.checkpoint, run=wildcards.run, benchmark=wildcards.benchmark
    )


def row_pairs(*tables):
    """Pairs of run and benchmark of the lines of some tables, each once, in order."""
    pairs = [(row.run, row.benchmark) for table in tables for row in CONFIG.tables[table].rows]
    return list(dict.fromkeys(pairs))


def table_scores(wildcards):
    """Score files that a table is made of."""
    return [f"results/scores/{run}/{name}.json" for run, name in row_pairs(wildcards.table)]


def target_tables():
    """Every file of the tables that are made by default."""
    return expand("results/tables/{table}.{kind}", table=CONFIG.targets, kind=("csv", "md", "tex"))


def report_histories(wildcards):
    """Training histories of all runs that the report shows, and of those that they start from."""
    pairs = row_pairs(*CONFIG.targets)
    runs = [name for run, _ in pairs for name in reversed(CONFIG.lineage(run))]
    pretrained = [f"results/pretrained/{run}/history.csv" for run in runs]
    finetuned = [
        f"results/finetuned/{run}/{benchmark}/history.csv"
        for run, benchmark in pairs
        if CONFIG.benchmarks[benchmark].finetune is not None
    ]
    return list(dict.fromkeys(pretrained + finetuned))


def report_scores(wildcards):
    """Score files of all lines that the report shows, the one shown in detail among them."""
    pairs = [*row_pairs(*CONFIG.targets), (CONFIG.showcase.run, CONFIG.showcase.benchmark)]
    return [f"results/scores/{run}/{name}.json" for run, name in dict.fromkeys(pairs)]


def showcase_folder(kind):
    """Input function: a file of the data set that the report shows in detail."""

    def file(wildcards):
        return expand(kind, dataset=CONFIG.benchmarks[CONFIG.showcase.benchmark].dataset)

    return file
