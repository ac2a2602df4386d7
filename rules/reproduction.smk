"""Tables and the report."""


rule make_table:
    """Make one table as CSV, Markdown and LaTeX."""
    input:
        scores=table_scores,
        made=clips_made,
    output:
        csv=report(
            "results/tables/{table}.csv",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        markdown="results/tables/{table}.md",
        latex="results/tables/{table}.tex",
    log:
        "logs/make_table/{table}.log",
    benchmark:
        "benchmarks/make_table/{table}.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=settings("table"),
        version=stage_version("make_table"),
    message:
        "Making the table {wildcards.table}"
    script:
        "../workflow/scripts/make_table.py"


rule make_report:
    """Make the report: one page that opens offline, with tables, figures and queries."""
    input:
        tables=expand("results/tables/{table}.csv", table=CONFIG.targets),
        histories=report_histories,
        scores=report_scores,
        embeddings=embeddings_of(
            CONFIG.showcase.run,
            CONFIG.showcase.benchmark,
            CONFIG.benchmarks[CONFIG.showcase.benchmark].protocol.split,
        ),
        indexes=expand(rules.index_shards.output.index, dataset=REPORTED_DATASETS),
        manifests=expand(rules.index_shards.output.manifest, dataset=REPORTED_DATASETS),
        made=clips_made,
    output:
        html=report(
            "results/report/index.html",
            caption="../workflow/report/report.rst",
            category="Report",
        ),
        account="results/report/account.csv",
    log:
        "logs/make_report.log",
    benchmark:
        "benchmarks/make_report.tsv"
    localrule: True
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=settings("report", "tables", "showcase", "showcase_protocol", "uses"),
        version=stage_version("make_report"),
    message:
        "Making the report"
    script:
        "../workflow/scripts/make_report.py"


for name in CONFIG.tables:

    rule:
        name:
            name
        input:
            expand("results/tables/{table}.{kind}", table=name, kind=("csv", "md", "tex")),
        localrule: True
