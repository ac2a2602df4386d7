"""Input and params functions of media files: where they are, and what tells that they changed."""

import time
from functools import cache
from pathlib import Path

from gram.data.listing import SETTLED_NS
from gram.data.media_files import UNCHANGED, digest_of_files, files_by_chunk, list_media


def folder_of_media(name):
    """Folder of the media files of a data set."""
    dataset = CONFIG.datasets[name]
    return f"results/generated/{name}/media" if dataset.kind == "generated" else dataset.media


def media_folder(wildcards):
    """Params function: the folder of a data set's media files."""
    return folder_of_media(wildcards.dataset)


def written_by_workflow(dataset, chunk):
    """Files that are written after the media files of a chunk that the workflow brings there."""
    if CONFIG.datasets[dataset].kind == "generated":
        return expand(rules.generate_clips.output.annotations, dataset=dataset, chunk=chunk)
    archives = PLAN.archives.get(dataset, ())
    written = expand(rules.fetch_source.output.receipt, source=archives)
    if dataset in PLAN.sites:
        written += expand(rules.fetch_clips.output.table, dataset=dataset, chunk=chunk)
    return written


def media_memory(wildcards):
    """File in which the names in a data set's media folder are remembered."""
    return f"results/listings/{wildcards.dataset}.json"


LOOKS = {}
"""Data set -> when its media folder was looked at, in ns since 1970, and the files of its chunks."""


def files_of_chunks(wildcards, written_ns):
    """Media and depth files of all chunks, from one look at a folder and at what it was before.

    Another look is taken where the workflow wrote files there since, or shortly before.
    """
    dataset = wildcards.dataset
    looked_ns, files = LOOKS.get(dataset, (0, ()))
    if looked_ns <= written_ns + SETTLED_NS:
        looked_ns = time.time_ns()
        folder, memory = Path(folder_of_media(dataset)), Path(media_memory(wildcards))
        files = files_by_chunk(folder, chunks=CONFIG.datasets[dataset].chunks, memory=memory)
        LOOKS[dataset] = looked_ns, files
    return files


def want_of_media(wildcards):
    """Say why no job can read a data set's media files; nothing if they can, or are yet to come.

    Where clips are fetched one by one, a folder may be empty: a table says why.
    """
    dataset = wildcards.dataset
    written = written_by_workflow(dataset, wildcards.chunk)
    if not all(Path(one).is_file() for one in written):
        return None
    try:
        if not any(files_of_chunks(wildcards, 0)) and dataset not in PLAN.sites:
            list_media(Path(folder_of_media(dataset)), memory=Path(media_memory(wildcards)))
    except ValueError as error:
        return str(error)
    return None


def found_media(wildcards):
    """No file where the media of a data set are there, else the one that a failing job is to give.

    Such a job ends what depends on that data set, once and before any table is made anew; so it
    does with --keep-going. Without that, the whole start has ended (``media_of_chunk``).
    """
    if not keeps_going() or want_of_media(wildcards) is None:
        return []
    return expand(rules.find_media.output.receipt, dataset=wildcards.dataset)


@cache
def digest_of_chunk(folder, files, changed_after_ns):
    """Digest of one chunk's files; a job on a cluster asks for no other chunk's."""
    return digest_of_files(Path(folder), files, changed_after_ns=changed_after_ns)


def media_of_chunk(wildcards):
    """Digest of names, sizes and times of a chunk's media: a changed file runs its chunk again.

    It takes nothing but wildcards: Snakemake does not compare params that are made from inputs.
    Params are compared before any job runs, so of media that the workflow generates or fetches
    only those count that changed afterwards.
    """
    written = [Path(one) for one in written_by_workflow(wildcards.dataset, wildcards.chunk)]
    if not all(path.is_file() for path in written):
        return UNCHANGED
    if (want := want_of_media(wildcards)) is not None:
        if keeps_going():
            return UNCHANGED
        raise WorkflowError(f"datasets.{wildcards.dataset}.media: {want}")
    changed_after_ns = max((path.stat().st_mtime_ns for path in written), default=0)
    files = files_of_chunks(wildcards, changed_after_ns)[int(wildcards.chunk)]
    return digest_of_chunk(media_folder(wildcards), files, changed_after_ns)
