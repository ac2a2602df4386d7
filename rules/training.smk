"""Weights of others, pretraining and finetuning."""


rule import_weights:
    """Put the weight files that a run starts from into its model, as a checkpoint of ours."""
    input:
        files=weight_files,
    output:
        checkpoint="results/imported/{run}/last.safetensors",
        description="results/imported/{run}/last.json",
    log:
        "logs/import_weights/{run}.log",
    benchmark:
        "benchmarks/import_weights/{run}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=30,
    params:
        settings=settings("seed", "model", "inputs", "weights"),
        version=stage_version("import_weights"),
    message:
        "Importing the weights of {wildcards.run}"
    script:
        "../workflow/scripts/import_weights.py"


rule pretrain_model:
    """Pretrain one run, from random weights, another run or files, to its last checkpoint.

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
    retries: retries(2)
    conda:
        "../envs/gram.yaml"
    threads: 16
    resources:
        mem_mb=64000,
        runtime=1440,
        gpu=1,  # one process each, of all nodes together; 0: the CPU
        processes=1,  # where gpu is 0
        cache_mib=0,  # memory for decoded clips, within mem_mb
        stage_shards=0,  # 1: copied to the node's own disk, where `tmpdir` is, and read there
        checkpoint_steps=500,  # between two partial checkpoints
        spare_seconds=300,  # before a Slurm job's time limit, to save a state and be requeued
        micro_batch=0,  # clips whose graph is held at once; 0: all
        checkpoint_activations=0,  # 1: less memory, a third more time
        compile=0,  # 1: torch.compile
        shard_model=0,  # 1: the vision tower in shares, one a process
        track_checkpoint=1,  # 0: MLflow gets settings and history alone
        register_model=0,  # 1: the checkpoint in MLflow's model registry, too
    params:
        settings=settings("seed", "model", "inputs", "loss", "optimizer", "pretrain"),
        version=stage_version("pretrain_model"),
    message:
        "Pretraining {wildcards.run}"
    script:
        "../workflow/scripts/pretrain_model.py"


rule finetune_model:
    """Finetune one run for one benchmark, from its pretrained or imported checkpoint."""
    input:
        index=benchmark_index,
        start=zero_shot_checkpoint,
        made=clips_made,
    output:
        checkpoint="results/finetuned/{run}/{benchmark}/last.safetensors",
        description="results/finetuned/{run}/{benchmark}/last.json",
        history="results/finetuned/{run}/{benchmark}/history.csv",
    log:
        "logs/finetune_model/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/finetune_model/{run}/{benchmark}.tsv"
    retries: retries(2)
    conda:
        "../envs/gram.yaml"
    threads: 16
    resources:
        mem_mb=64000,
        runtime=1440,
        gpu=1,  # one process each, of all nodes together; 0: the CPU
        processes=1,  # where gpu is 0
        cache_mib=0,  # memory for decoded clips, within mem_mb
        stage_shards=0,  # 1: copied to the node's own disk, where `tmpdir` is, and read there
        checkpoint_steps=500,  # between two partial checkpoints
        spare_seconds=300,  # before a Slurm job's time limit, to save a state and be requeued
        micro_batch=0,  # clips whose graph is held at once; 0: all
        checkpoint_activations=0,  # 1: less memory, a third more time
        compile=0,  # 1: torch.compile
        shard_model=0,  # 1: the vision tower in shares, one a process
        track_checkpoint=1,  # 0: MLflow gets settings and history alone
        register_model=0,  # 1: the checkpoint in MLflow's model registry, too
    params:
        settings=settings("seed", "model", "inputs", "loss", "optimizer", "finetune"),
        version=stage_version("finetune_model"),
    message:
        "Finetuning {wildcards.run} for {wildcards.benchmark}"
    script:
        "../workflow/scripts/finetune_model.py"
