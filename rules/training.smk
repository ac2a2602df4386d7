"""Pretraining and finetuning."""


rule pretrain_model:
    """Pretrain one run, from random weights or those of another run, to its last checkpoint.

    The job may be killed and started again: it goes on from the newest partial checkpoint
    beside its output, if that was made with the same settings.
    """
    input:
        index=pretraining_index,
        vocabulary=vocabulary_file,
        start=pretraining_start,
        made=clips_made,
    output:
        checkpoint="results/pretrained/{run}/last.safetensors",
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
        cache_mib=0,  # memory for decoded clips, within mem_mb
        checkpoint_steps=500,  # between two partial checkpoints
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
        index=benchmark_index,
        start=rules.pretrain_model.output.checkpoint,
        made=clips_made,
    output:
        checkpoint="results/finetuned/{run}/{benchmark}/last.safetensors",
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
        cache_mib=0,  # memory for decoded clips, within mem_mb
        checkpoint_steps=500,  # between two partial checkpoints
    params:
        settings=settings("seed", "model", "inputs", "loss", "optimizer", "finetune"),
        version=stage_version("finetune_model"),
    message:
        "Finetuning {wildcards.run} for {wildcards.benchmark}"
    script:
        "../workflow/scripts/finetune_model.py"
