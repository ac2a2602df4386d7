"""Input functions of figures, and which figures the settings ask for."""

from gram.config import parse_score

FIGURE_FORMS = ("svg", "pdf", "png", "csv")


def volume_runs(benchmark):
    """Runs that lines on a benchmark show and that are ranked by volume.

    Lines are those of the tables made by default, or of all where none of these has the benchmark.
    """
    pairs = row_pairs(*CONFIG.targets)
    if benchmark not in {name for _, name in pairs}:
        pairs = row_pairs(*CONFIG.tables)
    runs = [run for run, name in pairs if name == benchmark]
    return [run for run in runs if "volume" in CONFIG.runs[run].evaluation.scores]


def scores_by_volume(wildcards):
    """Score files of these runs."""
    return expand(
        rules.score_retrieval.output.scores,
        run=volume_runs(wildcards.benchmark),
        benchmark=wildcards.benchmark,
    )


def embeddings_by_volume(wildcards):
    """Vectors of these runs, with the files that stand beside them."""
    split = CONFIG.benchmarks[wildcards.benchmark].protocol.split
    runs = volume_runs(wildcards.benchmark)
    return [path for run in runs for path in embeddings_of(run, wildcards.benchmark, split)]


def has_reranking(run):
    """Whether a run has a re-ranked score whose first stage has nothing fitted."""
    specs = [parse_score(name) for name in CONFIG.runs[run].evaluation.scores]
    return any(spec.is_reranked and not spec.is_fitted for spec in specs)


def figures_of_pair(run, benchmark):
    """Figures of one run on one benchmark."""
    name = f"{run}-{benchmark}"
    is_retrieval = CONFIG.benchmarks[benchmark].protocol.task == "retrieval"
    is_shown = (run, benchmark) == (CONFIG.showcase.run, CONFIG.showcase.benchmark)
    figures = [f"volumes-{name}"] if is_shown else []
    figures += [f"strata-{name}"] if is_shown and is_retrieval else []
    figures += [f"reranking-{name}"] if has_reranking(run) else []
    return figures + ([] if is_retrieval else [f"classes-{name}"])


def figures_of_benchmark(benchmark):
    """Figures of all runs on one benchmark: a coefficient needs three of the same modalities."""
    runs = [CONFIG.runs[run] for run in volume_runs(benchmark)]
    if not runs:
        return []
    sets = [run.model.modalities for run in runs]
    common = set.intersection(*(set(run.evaluation.recall_at) for run in runs))
    figures = [f"modalities-{benchmark}"] if len(set(sets)) > 1 and common else []
    has_three = max(map(sets.count, sets)) > 2 and 1 in common
    return figures + ([f"checkpoints-{benchmark}"] if has_three else [])


def figure_files():
    """Files of all figures that the report shows: those of one name are one figure."""
    pairs = report_pairs(*CONFIG.targets)
    names = [name for run, benchmark in pairs for name in figures_of_pair(run, benchmark)]
    for benchmark in dict.fromkeys(benchmark for _, benchmark in pairs):
        names += figures_of_benchmark(benchmark)
    names += [f"account-{dataset}" for dataset in REPORTED_DATASETS]
    files = expand("results/figures/{name}.{form}", name=names, form=FIGURE_FORMS)
    return files + expand("results/figures/account-{dataset}-lost.csv", dataset=REPORTED_DATASETS)


def report_figures(wildcards):
    """Input function: the same."""
    return figure_files()


def copies_of_figures():
    """Where the report keeps them."""
    return [f"results/report/figures/{Path(path).name}" for path in figure_files()]
