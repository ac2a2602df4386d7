"""Tables, retrieval pages and the report."""


rule make_table:
    """Make one table as CSV, Markdown and LaTeX."""
    input:
        scores=table_scores,
        references="config/paper_scores.csv",
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


rule show_retrieval:
    """Make the retrieval page of a run and benchmark: queries and what they find, worst first."""
    input:
        scores=rules.score_retrieval.output.scores,
        places=rules.score_retrieval.output.places,
        ranked=ranked_embeddings,
        fitted=fitted_embeddings,
        matches=matched_pairs,
        index=benchmark_index,
        made=clips_made,
    output:
        page=report(
            "results/report/retrieval/{run}/{benchmark}.html",
            caption="../workflow/report/retrieval.rst",
            category="Retrieval",
            labels={"run": "{run}", "benchmark": "{benchmark}"},
        ),
    log:
        "logs/show_retrieval/{run}/{benchmark}.log",
    benchmark:
        "benchmarks/show_retrieval/{run}/{benchmark}.tsv"
    conda:
        "../envs/gram.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=settings("report", "protocol", "shown_scores"),
        version=stage_version("show_retrieval"),
    message:
        "Showing what {wildcards.run} finds on {wildcards.benchmark}"
    script:
        "../workflow/scripts/show_retrieval.py"


rule make_report:
    """Make the report: a folder that opens offline, of tables, figures, pages and origins.

    The retrieval pages lie in the same folder already.
    """
    input:
        tables=expand("results/tables/{table}.csv", table=CONFIG.targets),
        readable=expand("results/tables/{table}.{kind}", table=CONFIG.targets, kind=("md", "tex")),
        figures=report_figures,
        pages=report_pages,
        histories=report_histories,
        descriptions=report_descriptions,
        scores=report_scores,
        indexes=expand(rules.index_shards.output.index, dataset=REPORTED_DATASETS),
        manifests=expand(rules.index_shards.output.manifest, dataset=REPORTED_DATASETS),
        made=clips_made,
    output:
        html=report(
            "results/report/index.html",
            caption="../workflow/report/report.rst",
            category="Report",
        ),
        account=report(
            "results/report/account.csv",
            caption="../workflow/report/account.rst",
            category="Report",
        ),
        config=report(
            "results/report/config.yaml",
            caption="../workflow/report/config.rst",
            category="Report",
        ),
        versions="results/report/versions.txt",
        rules=report(
            "results/report/rules.svg",
            caption="../workflow/report/rules.rst",
            category="Report",
        ),
        tables=expand(
            "results/report/tables/{table}.{kind}",
            table=CONFIG.targets,
            kind=("csv", "md", "tex"),
        ),
        figures=copies_of_figures(),
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
        settings=settings("report", "tables", "showcase", "uses", "resolved"),
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
