"""Frames, sound, subtitles and depth, out of the raw files, chunk by chunk."""


rule probe_media:
    """Find the media file of each clip of a chunk, and what is in it.

    A changed, added or removed media file changes the parameter `media` of its chunk.
    """
    input:
        clips=rules.make_clips.output.clips,
        archives=received_archives,
        fetched=fetched_clips,
    output:
        table="results/probe/{dataset}/{chunk}.parquet",
    log:
        "logs/probe_media/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/probe_media/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=settings(),
        version=stage_version("probe_media"),
        folder=media_folder,
        chunks=chunk_count,
        media=media_of_chunk,
    message:
        "Probing {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/probe_media.py"


rule extract_clips:
    """Decode each clip of a chunk once, by one ffmpeg process: frames and sound."""
    input:
        probed=rules.probe_media.output.table,
    output:
        archive=temp("results/extracted/{dataset}/{chunk}.tar"),
        table="results/extracted/{dataset}/{chunk}.parquet",
    log:
        "logs/extract_clips/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/extract_clips/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=settings("extraction"),
        version=stage_version("extract_clips"),
    message:
        "Extracting {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/extract_clips.py"


rule read_subtitles:
    """Take the subtitles of a chunk's clips from their annotations."""
    input:
        probed=rules.probe_media.output.table,
    output:
        table="results/subtitles/{dataset}/{chunk}.parquet",
    log:
        "logs/read_subtitles/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/read_subtitles/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings(),
        version=stage_version("read_subtitles"),
    message:
        "Reading subtitles of {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/read_subtitles.py"


rule read_depth:
    """Take the depth maps that stand beside a chunk's media files."""
    input:
        probed=rules.probe_media.output.table,
    output:
        archive=temp("results/depth/{dataset}/{chunk}.tar"),
        table="results/depth/{dataset}/{chunk}.parquet",
    log:
        "logs/read_depth/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/read_depth/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings("pictures"),
        version=stage_version("read_depth"),
    message:
        "Reading depth of {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/read_depth.py"
