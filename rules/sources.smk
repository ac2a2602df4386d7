"""Where clips come from: generated ones, annotation files, what is fetched from others."""


rule generate_clips:
    """Draw and play one chunk of a generated data set: media files and their annotations.

    The media files stand beside the output; the annotation file, written last, names them.
    """
    output:
        annotations="results/generated/{dataset}/annotations/{chunk}.json",
    log:
        "logs/generate_clips/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/generate_clips/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=settings("dataset"),
        version=stage_version("generate_clips"),
        media=media_folder,
    message:
        "Generating {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/generate_clips.py"


rule fetch_source:
    """Bring a file of others here, check it, and unpack it; or say how to do that by hand.

    The files stand beside the receipt's content: it names them. What is there is only checked.
    """
    output:
        receipt="results/sources/{source}.json",
    log:
        "logs/fetch_source/{source}.log",
    benchmark:
        "benchmarks/fetch_source/{source}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        settings=source_settings,
        version=stage_version("fetch_source"),
        folder=folder_of_source,
        media=media_of_source,
    message:
        "Fetching {wildcards.source}"
    script:
        "../workflow/scripts/fetch_source.py"


rule place_annotation:
    """Put a fetched annotation file where the settings of its data set want it."""
    input:
        receipt=giver_of_annotation,
    output:
        annotation="{annotation}",
    log:
        "logs/place_annotation/{annotation}.log",
    benchmark:
        "benchmarks/place_annotation/{annotation}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=settings(),
        version=stage_version("place_annotation"),
    message:
        "Placing {wildcards.annotation}"
    script:
        "../workflow/scripts/place_annotation.py"


rule find_annotations:
    """Fail because an annotation file is not there, in place of the job that reads them.

    It is planned for such a data set alone, and with --keep-going: the others go on.
    """
    output:
        receipt=temp("results/found_annotations/{dataset}.txt"),
    log:
        "logs/find_annotations/{dataset}.log",
    benchmark:
        "benchmarks/find_annotations/{dataset}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    params:
        settings=settings(),
        version=stage_version("find_annotations"),
        files=annotation_paths,
    message:
        "Looking for the annotations of {wildcards.dataset}"
    script:
        "../workflow/scripts/find_annotations.py"


checkpoint make_clips:
    """Read all annotation files of a data set into one table of clips.

    The part of each chunk stands beside the output, in results/clips/{dataset}, and is left as it
    is where it stays the same. Which parts changed is known when this has run: it is a checkpoint,
    after which Snakemake looks anew at what has to run.
    """
    input:
        annotations=annotation_files,
    output:
        clips="results/clips/{dataset}.parquet",
    log:
        "logs/make_clips/{dataset}.log",
    benchmark:
        "benchmarks/make_clips/{dataset}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings(),
        version=stage_version("make_clips"),
        splits=annotation_splits,
        format_name=annotation_format,
        chunks=chunk_count,
    message:
        "Reading the annotations of {wildcards.dataset}"
    script:
        "../workflow/scripts/make_clips.py"


rule fetch_clips:
    """Fetch the clips of a chunk one by one from a web site, and write what became of each.

    The media files stand in the data set's media folder. What is known of each clip is kept
    beside the output, line by line: a job that was killed goes on, and one that runs again asks
    only for clips whose state is transient.
    """
    input:
        clips=clips_of_chunk,
        annotations=annotations_with_places,
    output:
        table="results/fetched/{dataset}/{chunk}.parquet",
    log:
        "logs/fetch_clips/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/fetch_clips/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=2880,
    params:
        settings=clip_settings,
        version=stage_version("fetch_clips"),
        folder=media_folder,
        retries=retries_of_chunk,
    message:
        "Fetching clips of {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/fetch_clips.py"


rule retry_fetch:
    """Have the next start ask again for clips that were refused or cut off."""
    log:
        "logs/retry_fetch.log",
    benchmark:
        "benchmarks/retry_fetch.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    params:
        settings=settings(),
        version=stage_version("retry_fetch"),
        tables=all_fetched_clips,
    message:
        "Counting a retry; start again to make it"
    script:
        "../workflow/scripts/retry_fetch.py"


rule fetch:
    """Everything that the settings ask to fetch, and nothing that is made of it."""
    input:
        everything=everything_fetched,
    localrule: True
