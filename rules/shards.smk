"""WebDataset shards, their index, and the word pieces of their texts."""


rule pack_shards:
    """Join what a chunk's clips have into WebDataset tars, and an index that lists them.

    The tars stand beside the index; how many there are is known only when they are packed.
    """
    input:
        extracted=rules.extract_clips.output.archive,
        extraction_table=rules.extract_clips.output.table,
        subtitles=subtitle_table,
        depth=depth_archive,
        depth_table=depth_table,
        made=clips_made,
    output:
        index="results/shards/{dataset}/{chunk}.parquet",
    log:
        "logs/pack_shards/{dataset}/{chunk}.log",
    benchmark:
        "benchmarks/pack_shards/{dataset}/{chunk}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings("packing"),
        version=stage_version("pack_shards"),
    message:
        "Packing {wildcards.dataset}, chunk {wildcards.chunk}"
    script:
        "../workflow/scripts/pack_shards.py"


rule index_shards:
    """Join the indexes of a data set's chunks: one row a clip, usable or not, with the reason.

    Every shard is read and compared with the index of its chunk. One that was damaged is removed
    with that index, and the job fails: the next start packs that chunk again.
    """
    input:
        indexes=of_chunks(rules.pack_shards.output.index),
        made=clips_made,
    output:
        index="results/shards/{dataset}/index.parquet",
        manifest="results/shards/{dataset}/manifest.json",
    log:
        "logs/index_shards/{dataset}.log",
    benchmark:
        "benchmarks/index_shards/{dataset}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings("shards"),
        version=stage_version("index_shards"),
    message:
        "Indexing the shards of {wildcards.dataset}"
    script:
        "../workflow/scripts/index_shards.py"


rule learn_vocabulary:
    """Learn the word pieces of a split's texts, for runs that name no vocabulary file."""
    input:
        index=rules.index_shards.output.index,
        made=clips_made,
    output:
        pieces="results/vocabulary/{dataset}/{split}.txt",
    log:
        "logs/learn_vocabulary/{dataset}/{split}.log",
    benchmark:
        "benchmarks/learn_vocabulary/{dataset}/{split}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings("vocabulary"),
        version=stage_version("learn_vocabulary"),
    message:
        "Learning the vocabulary of {wildcards.dataset}, {wildcards.split}"
    script:
        "../workflow/scripts/learn_vocabulary.py"


# Beyond the reach of one plan: `snakemake NAME_part_1` and so on, each with the chunks of that part
# alone, then all by `--batch index_shards=N/N`, which takes the chunks of other batches as they are.
for dataset, part in large_data_sets():

    rule:
        name:
            f"{dataset}_part_{part}"
        input:
            of_part(rules.pack_shards.output.index, dataset, part),
        localrule: True
