"""Figures, each as SVG, PDF and PNG with its numbers as CSV."""


rule draw_volumes:
    """Draw how volumes of captions with their own clips, and with others, are spread."""
    input:
        ranked=ranked_embeddings,
        made=clips_made,
    output:
        svg=report(
            "results/figures/volumes-{run}-{benchmark}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "volumes", "run": "{run}", "benchmark": "{benchmark}"},
        ),
        pdf="results/figures/volumes-{run}-{benchmark}.pdf",
        png="results/figures/volumes-{run}-{benchmark}.png",
        csv="results/figures/volumes-{run}-{benchmark}.csv",
    log:
        "logs/draw_volumes/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/draw_volumes/{run}/{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("protocol"),
        version=stage_version("draw_volumes"),
    message:
        "Drawing volumes of {wildcards.run}"
    script:
        "../workflow/scripts/draw_volumes.py"


rule draw_checkpoints:
    """Draw the mean volume of each run of a benchmark against its recall."""
    input:
        scores=scores_by_volume,
        ranked=embeddings_by_volume,
        made=clips_made,
    output:
        svg=report(
            "results/figures/checkpoints-{benchmark}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "checkpoints", "benchmark": "{benchmark}"},
        ),
        pdf="results/figures/checkpoints-{benchmark}.pdf",
        png="results/figures/checkpoints-{benchmark}.png",
        csv="results/figures/checkpoints-{benchmark}.csv",
    log:
        "logs/draw_checkpoints/{benchmark}.log",
    benchmark:
        "benchmarks/draw_checkpoints/{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("protocol"),
        version=stage_version("draw_checkpoints"),
    message:
        "Drawing checkpoints on {wildcards.benchmark}"
    script:
        "../workflow/scripts/draw_checkpoints.py"


rule draw_modalities:
    """Draw recalls of runs with different modalities."""
    input:
        scores=scores_by_volume,
        made=clips_made,
    output:
        svg=report(
            "results/figures/modalities-{benchmark}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "modalities", "benchmark": "{benchmark}"},
        ),
        pdf="results/figures/modalities-{benchmark}.pdf",
        png="results/figures/modalities-{benchmark}.png",
        csv="results/figures/modalities-{benchmark}.csv",
    log:
        "logs/draw_modalities/{benchmark}.log",
    benchmark:
        "benchmarks/draw_modalities/{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings(),
        version=stage_version("draw_modalities"),
    message:
        "Drawing modalities on {wildcards.benchmark}"
    script:
        "../workflow/scripts/draw_modalities.py"


rule draw_reranking:
    """Draw recall against the number of candidates that the matching head reads."""
    input:
        ranked=ranked_embeddings,
        matches=matched_pairs,
        made=clips_made,
    output:
        svg=report(
            "results/figures/reranking-{run}-{benchmark}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "reranking", "run": "{run}", "benchmark": "{benchmark}"},
        ),
        pdf="results/figures/reranking-{run}-{benchmark}.pdf",
        png="results/figures/reranking-{run}-{benchmark}.png",
        csv="results/figures/reranking-{run}-{benchmark}.csv",
    log:
        "logs/draw_reranking/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/draw_reranking/{run}/{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("benchmark", "protocol", "evaluation"),
        version=stage_version("draw_reranking"),
    message:
        "Drawing re-ranking of {wildcards.run}"
    script:
        "../workflow/scripts/draw_reranking.py"


rule draw_strata:
    """Draw recall by the length of captions and of clips."""
    input:
        places=rules.score_retrieval.output.places,
        index=benchmark_index,
        made=clips_made,
    output:
        svg=report(
            "results/figures/strata-{run}-{benchmark}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "strata", "run": "{run}", "benchmark": "{benchmark}"},
        ),
        pdf="results/figures/strata-{run}-{benchmark}.pdf",
        png="results/figures/strata-{run}-{benchmark}.png",
        csv="results/figures/strata-{run}-{benchmark}.csv",
    log:
        "logs/draw_strata/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/draw_strata/{run}/{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("drawn_score", "evaluation"),
        version=stage_version("draw_strata"),
    message:
        "Drawing recall by length of {wildcards.run}"
    script:
        "../workflow/scripts/draw_strata.py"


rule draw_classes:
    """Draw the clips of a classification in the plane, by class."""
    input:
        ranked=ranked_embeddings,
        made=clips_made,
    output:
        svg=report(
            "results/figures/classes-{run}-{benchmark}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "classes", "run": "{run}", "benchmark": "{benchmark}"},
        ),
        pdf="results/figures/classes-{run}-{benchmark}.pdf",
        png="results/figures/classes-{run}-{benchmark}.png",
        csv="results/figures/classes-{run}-{benchmark}.csv",
    log:
        "logs/draw_classes/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/draw_classes/{run}/{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("protocol"),
        version=stage_version("draw_classes"),
    message:
        "Drawing classes of {wildcards.benchmark}"
    script:
        "../workflow/scripts/draw_classes.py"


rule draw_account:
    """Draw at which step the clips of a data set were lost, and list those that were."""
    input:
        index=rules.index_shards.output.index,
        made=clips_made,
    output:
        svg=report(
            "results/figures/account-{dataset}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "account", "dataset": "{dataset}"},
        ),
        pdf="results/figures/account-{dataset}.pdf",
        png="results/figures/account-{dataset}.png",
        csv="results/figures/account-{dataset}.csv",
        lost="results/figures/account-{dataset}-lost.csv",
    log:
        "logs/draw_account/{dataset}.log",
    benchmark:
        "benchmarks/draw_account/{dataset}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("uses"),
        version=stage_version("draw_account"),
    message:
        "Drawing the account of {wildcards.dataset}"
    script:
        "../workflow/scripts/draw_account.py"


rule figures:
    """Every figure of the lines that the report shows."""
    input:
        files=figure_files(),
    localrule: True
