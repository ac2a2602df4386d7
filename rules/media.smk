"""Frames, sound, subtitles and depth, out of the raw files, chunk by chunk."""


rule find_media:
    """Fail because the media files of a data set are not there, in place of the jobs that read them.

    It is planned for such a data set alone, and with --keep-going: the others go on.
    """
    output:
        receipt=temp("results/found_media/{dataset}.txt"),
    log:
        "logs/find_media/{dataset}.log",
    benchmark:
        "benchmarks/find_media/{dataset}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    params:
        settings=settings(),
        version=stage_version("find_media"),
        folder=media_folder,
    message:
        "Looking for the media of {wildcards.dataset}"
    script:
        "../workflow/scripts/find_media.py"


rule probe_media:
    """Find the media file of each clip of a chunk, and what is in it.

    A changed, added or removed media file changes the parameter `media` of its chunk.
    """
    input:
        clips=clips_of_chunk,
        archives=received_archives,
        fetched=fetched_clips,
        found=found_media,
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
        memory=media_memory,
        media=media_of_chunk,
    message:
        "Probing {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/probe_media.py"


rule extract_clips:
    """Decode each clip of a chunk once, by one ffmpeg process: frames and sound."""
    input:
        probed=rules.probe_media.output.table,
        made=clips_made,
    output:
        archive=unless_perceived("results/extracted/{dataset}/{chunk}.tar"),
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
        made=clips_made,
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


rule recognize_speech:
    """Hear subtitles in the extracted sound of a chunk's clips that are annotated with none.

    It takes the place of read_subtitles where `subtitles.source` is speech.
    """
    input:
        extracted=rules.extract_clips.output.archive,
        extraction_table=rules.extract_clips.output.table,
        model=SPEECH_MODEL,
        made=clips_made,
    output:
        table="results/speech/{dataset}/{chunk}.parquet",
    log:
        "logs/recognize_speech/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/recognize_speech/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 4
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=1,
    params:
        settings=settings("speech"),
        version=stage_version("recognize_speech"),
    message:
        "Hearing {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/recognize_speech.py"


rule read_depth:
    """Take the depth maps that stand beside a chunk's media files."""
    input:
        probed=rules.probe_media.output.table,
        made=clips_made,
    output:
        archive=unless_perceived("results/depth/{dataset}/{chunk}.tar"),
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


rule estimate_depth:
    """Estimate depth in the extracted frames of a chunk's clips.

    It takes the place of read_depth where `depth.source` is estimate.
    """
    input:
        extracted=rules.extract_clips.output.archive,
        extraction_table=rules.extract_clips.output.table,
        model=DEPTH_MODEL,
        made=clips_made,
    output:
        archive=unless_perceived("results/estimated_depth/{dataset}/{chunk}.tar"),
        table="results/estimated_depth/{dataset}/{chunk}.parquet",
    log:
        "logs/estimate_depth/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/estimate_depth/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 4
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=1,
    params:
        settings=settings("estimate"),
        version=stage_version("estimate_depth"),
    message:
        "Estimating depth of {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/estimate_depth.py"
