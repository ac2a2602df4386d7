"""Embeddings of a benchmark, what its matching head reads, and the ranks that scores give."""


rule embed_benchmark:
    """Embed all texts and clips of a split of a benchmark's data set by one run's checkpoint.

    Benchmarks that differ in their protocol alone share these files, under the name of the first.
    """
    input:
        checkpoint=benchmark_checkpoint,
        index=benchmark_index,
        made=clips_made,
    output:
        vectors="results/embeddings/{run}/{benchmark}/{split}/vectors.safetensors",
        clips="results/embeddings/{run}/{benchmark}/{split}/clips.parquet",
        queries="results/embeddings/{run}/{benchmark}/{split}/queries.parquet",
        condition="results/embeddings/{run}/{benchmark}/{split}/condition.safetensors",
    log:
        "logs/embed_benchmark/{run}/{benchmark}/{split}.log",
    benchmark:
        "benchmarks/embed_benchmark/{run}/{benchmark}/{split}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 8
    resources:
        mem_mb=32000,
        runtime=240,
        gpu=1,
    params:
        settings=settings(
            "inputs",
            "embedding",
            "prompts",
            "embedded_split",
            "ranked_dataset",
            "trained_splits",
            "lineage",
        ),
        version=stage_version("embed_benchmark"),
    message:
        "Embedding {wildcards.benchmark} ({wildcards.split}) by {wildcards.run}"
    script:
        "../workflow/scripts/embed_benchmark.py"


rule match_pairs:
    """Have the matching head read the best pairs of each score that is re-ranked."""
    input:
        checkpoint=benchmark_checkpoint,
        ranked=ranked_embeddings,
        fitted=fitted_embeddings,
        made=clips_made,
    output:
        matches="results/matches/{run}/{benchmark}.parquet",
    log:
        "logs/match_pairs/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/match_pairs/{run}/{benchmark}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 8
    resources:
        mem_mb=32000,
        runtime=240,
        gpu=1,
        pairs=256,  # read at once
    params:
        settings=settings("inputs", "protocol", "reranking"),
        version=stage_version("match_pairs"),
    message:
        "Matching pairs of {wildcards.benchmark} by {wildcards.run}"
    script:
        "../workflow/scripts/match_pairs.py"


rule score_retrieval:
    """Rank a benchmark's clips and texts by each score of the run: recalls in both directions."""
    input:
        ranked=ranked_embeddings,
        fitted=fitted_embeddings,
        matches=matched_pairs,
        made=clips_made,
    output:
        scores="results/scores/{run}/{benchmark}.json",
        places="results/scores/{run}/{benchmark}.parquet",
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
        settings=settings("benchmark", "protocol", "evaluation"),
        version=stage_version("score_retrieval"),
    message:
        "Scoring {wildcards.run} on {wildcards.benchmark}"
    script:
        "../workflow/scripts/score_retrieval.py"
