"""Input functions of embeddings, scores, tables and the report."""

from gram.config import parse_score
from gram.jobs import clip_uses


def embeddings_of(run, benchmark, split):
    """Files of the embeddings of a split, of which the vectors come first."""
    named = {"run": run, "benchmark": CONFIG.embedded_as(benchmark), "split": split}
    return expand(list(rules.embed_benchmark.output), **named)


def ranked_embeddings(wildcards):
    """Embeddings of the split that a benchmark ranks."""
    split = CONFIG.benchmarks[wildcards.benchmark].protocol.split
    return embeddings_of(wildcards.run, wildcards.benchmark, split)


def specs_of(wildcards):
    """The scores of a run, read."""
    return [parse_score(name) for name in CONFIG.runs[wildcards.run].evaluation.scores]


def fitted_embeddings(wildcards):
    """Embeddings of the split that scores are fitted on, if there is one and a score needs it."""
    split = CONFIG.benchmarks[wildcards.benchmark].protocol.fit_split
    if split is None or not any(spec.is_fitted for spec in specs_of(wildcards)):
        return []
    return embeddings_of(wildcards.run, wildcards.benchmark, split)


def matched_pairs(wildcards):
    """What the matching head said of pairs, if a score is re-ranked."""
    if not any(spec.is_reranked for spec in specs_of(wildcards)):
        return []
    return expand(rules.match_pairs.output.matches, **wildcards)


def row_pairs(*tables):
    """Pairs of run and benchmark of the lines of some tables, each once, in order."""
    rows = [row for table in tables for row in CONFIG.tables[table].rows]
    return list(dict.fromkeys((run, row.benchmark) for row in rows for run in row.runs))


def table_scores(wildcards):
    """Score files that a table is made of."""
    return [f"results/scores/{run}/{name}.json" for run, name in row_pairs(wildcards.table)]


def target_tables():
    """Every file of the tables that are made by default."""
    return expand("results/tables/{table}.{kind}", table=CONFIG.targets, kind=("csv", "md", "tex"))


def report_histories(wildcards):
    """Training histories of all runs that the report shows, and of those that they start from."""
    pairs = row_pairs(*CONFIG.targets)
    runs = [name for run, _ in pairs for name in reversed(CONFIG.lineage(run))]
    pretrained = [
        f"results/pretrained/{run}/history.csv"
        for run in runs
        if CONFIG.runs[run].pretrain_dataset is not None
    ]
    finetuned = [
        f"results/finetuned/{run}/{CONFIG.embedded_as(benchmark)}/history.csv"
        for run, benchmark in pairs
        if CONFIG.benchmarks[benchmark].finetune is not None
    ]
    return list(dict.fromkeys(pretrained + finetuned))


def report_pairs(*tables):
    """Pairs of run and benchmark that the report shows, the one shown in detail among them."""
    pairs = [*row_pairs(*tables), (CONFIG.showcase.run, CONFIG.showcase.benchmark)]
    return list(dict.fromkeys(pairs))


def report_scores(wildcards):
    """Score files of all lines that the report shows."""
    return [f"results/scores/{run}/{name}.json" for run, name in report_pairs(*CONFIG.targets)]


def report_pages(wildcards):
    """Retrieval pages of all lines that the report shows."""
    page = rules.show_retrieval.output.page
    return [page.format(run=run, benchmark=name) for run, name in report_pairs(*CONFIG.targets)]


def report_descriptions(wildcards):
    """What is told beside each checkpoint that the lines of the report go back to."""
    pairs = report_pairs(*CONFIG.targets)
    runs = dict.fromkeys(name for run, _ in pairs for name in reversed(CONFIG.lineage(run)))
    of_runs = [str(Path(path).with_suffix(".json")) for run in runs for path in checkpoint_of(run)]
    finetuned = [
        path
        for run, name in pairs
        if CONFIG.benchmarks[name].finetune is not None
        for path in expand(
            rules.finetune_model.output.description, run=run, benchmark=CONFIG.embedded_as(name)
        )
    ]
    return list(dict.fromkeys(of_runs + finetuned))


REPORTED_DATASETS = list(dict.fromkeys(use.dataset for use in clip_uses(CONFIG)))
"""Data sets that the lines of the report use, of whose clips it gives account."""
