"""Input and params functions of what is fetched."""

from gram.config import canonical_json
from gram.fetch.plan import FOLDER, num_retries


def source_settings(wildcards):
    """What the table of sources says of a file."""
    return canonical_json({"source": PLAN.sources[wildcards.source]})


def clip_settings(wildcards):
    """How the clips of a data set are fetched, and from which site."""
    dataset = wildcards.dataset
    return canonical_json(
        {"fetch": CONFIG.datasets[dataset].fetch, "site": PLAN.sources[PLAN.sites[dataset]]}
    )


def annotations_with_places(wildcards):
    """Annotation files, where they say where on the web the clips are; else their ids do."""
    site = PLAN.sources[PLAN.sites[wildcards.dataset]]
    return annotation_files(wildcards) if site.pattern is None else []


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
