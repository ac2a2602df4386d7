"""GRAM, from annotation files to recall tables. `snakemake` makes the tables and the report."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/common_fetch.smk"
include: "rules/common_media.smk"
include: "rules/common_evaluation.smk"
include: "rules/common_figures.smk"
include: "rules/sources.smk"
include: "rules/media.smk"
include: "rules/shards.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/figures.smk"
include: "rules/reproduction.smk"


rule all:
    """Every table that the settings name as a target, and the report."""
    default_target: True
    input:
        tables=target_tables(),
        report=rules.make_report.output.html,
    localrule: True


rule report:
    """The report, with what it needs."""
    input:
        page=rules.make_report.output.html,
    localrule: True


onstart:
    write_rules(workflow.dag, if_made_by="make_report")
    refuse_second_start_of(workflow.dag.needrun_jobs())


onsuccess:
    finish_workflow(is_good=True)


onerror:
    finish_workflow(is_good=False)
