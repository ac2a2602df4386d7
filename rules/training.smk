"""Pretraining and finetuning, and the database that tracks them."""


rule prepare_tracking:
    """Make the tracking database before several jobs write to it."""
    output:
        ready="results/tracking/ready.txt",
    log:
        "logs/prepare_tracking.log",
    benchmark:
        "benchmarks/prepare_tracking.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings(),
        version=stage_version("prepare_tracking"),
    message:
        "Preparing the tracking database"
    script:
        "../workflow/scripts/prepare_tracking.py"


rule pretrain_model:
    """Pretrain one run, from random weights or those of another run, to its last checkpoint.

    The job may be killed and started again: it goes on from the newest partial checkpoint
    beside its output, if that was made with the same settings.
    """
    input:
        tracking=ancient(rules.prepare_tracking.output.ready),
        index=pretraining_index,
        vocabulary=vocabulary_file,
        start=pretraining_start,
    output:
        checkpoint="results/pretrained/{run}/last.pt",
        description="results/pretrained/{run}/last.json",
        history="results/pretrained/{run}/history.csv",
    log:
        "logs/pretrain_model/{run}.log",
    benchmark:
        "benchmarks/pretrain_model/{run}.tsv"
    retries: 2
    conda:
        "../envs/gram.yaml"
    threads: 16
    resources:
        mem_mb=64000,
        runtime=1440,
        gpu=1,
    params:
        settings=settings("seed", "model", "inputs", "loss", "optimizer", "pretrain"),
        version=stage_version("pretrain_model"),
    message:
        "Pretraining {wildcards.run}"
    script:
        "../workflow/scripts/pretrain_model.py"


rule finetune_model:
    """Finetune one run for one benchmark, from its pretrained checkpoint."""
    input:
        tracking=ancient(rules.prepare_tracking.output.ready),
        index=benchmark_index,
        start=rules.pretrain_model.output.checkpoint,
    output:
        checkpoint="results/finetuned/{run}/{benchmark}/last.pt",
        description="results/finetuned/{run}/{benchmark}/last.json",
        history="results/finetuned/{run}/{benchmark}/history.csv",
    log:
        "logs/finetune_model/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/finetune_model/{run}/{benchmark}.tsv"
    retries: 2
    conda:
        "../envs/gram.yaml"
    threads: 16
    resources:
        mem_mb=64000,
        runtime=1440,
        gpu=1,
    params:
        settings=settings("seed", "model", "inputs", "loss", "optimizer", "finetune"),
        version=stage_version("finetune_model"),
    message:
        "Finetuning {wildcards.run} for {wildcards.benchmark}"
    script:
        "../workflow/scripts/finetune_model.py"
