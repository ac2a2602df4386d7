"""Where clips come from: generated ones, and annotation files."""


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
