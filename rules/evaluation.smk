"""Embeddings of a benchmark and the ranks that scores give them."""


rule embed_benchmark:
    """Embed all queries and clips of a benchmark by one run's checkpoint."""
    input:
        checkpoint=benchmark_checkpoint,
        index=benchmark_index,
        made=clips_made,
    output:
        embeddings="results/embeddings/{run}/{benchmark}.safetensors",
    log:
        "logs/embed_benchmark/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/embed_benchmark/{run}/{benchmark}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 8
    resources:
        mem_mb=32000,
        runtime=240,
        gpu=1,
    params:
        settings=settings(
            "inputs", "embedding", "protocol", "ranked_dataset", "trained_splits", "lineage"
        ),
        version=stage_version("embed_benchmark"),
    message:
        "Embedding {wildcards.benchmark} by {wildcards.run}"
    script:
        "../workflow/scripts/embed_benchmark.py"


rule score_retrieval:
    """Rank a benchmark's clips and texts by each score of the run: recalls in both directions."""
    input:
        embeddings=rules.embed_benchmark.output.embeddings,
        made=clips_made,
    output:
        scores="results/scores/{run}/{benchmark}.json",
    log:
        "logs/score_retrieval/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/score_retrieval/{run}/{benchmark}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 4
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        settings=settings("evaluation"),
        version=stage_version("score_retrieval"),
    message:
        "Scoring {wildcards.run} on {wildcards.benchmark}"
    script:
        "../workflow/scripts/score_retrieval.py"
