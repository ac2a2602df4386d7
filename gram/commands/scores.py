"""`gram scores`: what scores make of embeddings, of one's own runs or of others."""

import csv as csv_format
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gram.progress import track

if TYPE_CHECKING:
    from gram.evaluation.intervals import PairedTest
    from gram.evaluation.ranked import RankedSet
    from gram.evaluation.retrieval import RetrievalPlaces

app = typer.Typer(no_args_is_help=True, help="Scores of embeddings: recalls and intervals.")

Vectors = Annotated[
    list[Path],
    typer.Argument(
        help="Safetensors files with text, video, audio, subtitle(s), depth; a folder of such; or "
        "results/embeddings/RUN/BENCHMARK/SPLIT."
    ),
]
Names = Annotated[
    list[str] | None, typer.Option("--score", help="A score; again for more. None: the usual ones.")
]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="A CSV file to write, too.")]
Captions = Annotated[
    str, typer.Option(help="Of a folder: first, all, or best caption of each clip.")
]
Ties = Annotated[
    str,
    typer.Option(
        help="What a tie of the right candidate with others counts: shared, the mean over all "
        "orders; won, as if it came first, as others often count."
    ),
]
Gallery = Annotated[str, typer.Option(help="Of a folder: as_run, with_sound or all clips.")]

CROSS_FITTED = (
    "volume",
    "cosine_video",
    "cosine_mean",
    "residual",
    "trusted_residual",
    "whitened_residual",
    "cosine_video+bank@20",
    "volume+bank@20",
    "trusted_similarity+bank@20",
    "cosine_video+bank",
    "volume+bank",
    "trusted_residual+bank",
    "whitened_residual+bank",
)
"""What `gram scores cross-fit` ranks by; behind a temperature of 20, as is usual, a fitted one."""

ONE_THREAD_PAIRS = 2**22
"""Pairs of texts and clips up to which one thread ranks them."""

RECALL_AT = (1, 5, 10)
RESAMPLES = 1000


@app.command()
def rank(
    vectors: Vectors,
    score: Names = None,
    csv: CsvFile = None,
    captions: Captions = "first",
    gallery: Gallery = "as_run",
    ties: Ties = "shared",
) -> None:
    """Rank all clips and texts by scores in which nothing is fitted.

    Example: gram scores rank embeddings.safetensors --score volume:tva --score cosine_video
    """
    from gram.evaluation.fitted import plain_score
    from gram.evaluation.retrieval import rank_retrieval

    def places_of(names: Sequence[str], ranked: "RankedSet") -> "list[RetrievalPlaces]":
        plain = [plain_score(name) for name in names]
        tracked = track(plain, total=len(plain), label="ranking", unit="scores")
        return [rank_retrieval(one, ranked) for one in tracked]

    _report(vectors, score, places_of, csv=csv, protocol=(captions, gallery), ties=ties)


@app.command("cross-fit")
def cross_fit(
    vectors: Vectors,
    score: Names = None,
    halves: Annotated[int, typer.Option(min=1, help="How many halves are drawn.")] = 12,
    csv: CsvFile = None,
    captions: Captions = "first",
    gallery: Gallery = "as_run",
    ties: Ties = "shared",
) -> None:
    """Fit scores on one random half of the clips and rank the other half, some times over.

    Trusts, whitening and temperatures are chosen on clips that are not ranked, and these are the
    bank, so that no number is chosen on what it is measured on. The gallery is half as large.
    Example: gram scores cross-fit FOLDER --score cosine_video+bank --score trusted_residual+bank
    """
    from gram.config import parse_score
    from gram.evaluation import scoring

    def places_of(names: Sequence[str], ranked: "RankedSet") -> "list[RetrievalPlaces]":
        specs = [parse_score(name) for name in names]
        return [one.places for one in scoring.cross_fit(specs, ranked, halves=halves)]

    names = score or list(CROSS_FITTED)
    _report(vectors, names, places_of, csv=csv, protocol=(captions, gallery), ties=ties)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="results/scores/RUN/BENCHMARK.parquet")],
    second: Annotated[Path, typer.Argument(help="The same of the other run.")],
    score: Annotated[str, typer.Option(help="Score of the first.")] = "volume",
    other: Annotated[str | None, typer.Option(help="Score of the second; none: the same.")] = None,
) -> None:
    """Test whether two runs, or two scores of one, differ: on the same queries, in pairs.

    Prints the difference of each recall, second less first, its 95 % interval, and how often a
    random swap of the two would give as large a difference.
    """
    from gram.evaluation.intervals import paired_test
    from gram.evaluation.place_table import read_pair

    rows: list[list[str]] = []
    with _mistakes():
        for direction in ("text_to_item", "item_to_text"):
            pair = read_pair((first, second), scores=(score, other or score), direction=direction)
            rows += [
                [direction, f"R@{k}", *_shown_test(paired_test(*pair, k=k))] for k in RECALL_AT
            ]
    header = ["direction", "recall", "difference", "95 % interval", "p", "clips"]
    _print_table(header, rows)


def _shown_test(test: "PairedTest") -> list[str]:
    low, high = test.interval
    interval = f"{low:+.1f} to {high:+.1f}"
    return [f"{test.difference:+.1f}", interval, f"{test.p_value:.4f}", str(test.clusters)]


def _report(
    vectors: Sequence[Path],
    names: Sequence[str] | None,
    places_of: "Callable[[Sequence[str], RankedSet], list[RetrievalPlaces]]",
    *,
    csv: Path | None,
    protocol: tuple[str, str],
    ties: str,
) -> None:
    """Rank everything by everything, print a table, and write it."""
    from gram.config import ProtocolConfig
    from gram.evaluation.snapshots import find_snapshots, read_ranked
    from gram.files import write_text

    header = ["embeddings", "score", "gallery"]
    for direction in ("t2i", "i2t"):
        header += [f"{direction} R@{k}" for k in RECALL_AT] + [f"{direction} R@1, 95 %"]
    with _mistakes():
        if ties not in ("shared", "won"):
            raise ValueError(f"ties are shared or won, got {ties!r}")
        asked = ProtocolConfig.model_validate({"captions": protocol[0], "gallery": protocol[1]})
        paths = [path for given in vectors for path in find_snapshots(given)]
        sets = [(path, read_ranked(path, asked)) for path in paths]
        rows = []
        for path, ranked in sets:
            of_set = names or _plain_names(ranked)
            with _threads(ranked):
                found = places_of(of_set, ranked)
            for name, places in zip(of_set, found, strict=True):
                shown = _shown(places, captions=protocol[0], ties=ties)
                rows.append([path.stem or path.name, name, *shown])
        if csv is not None:
            text = io.StringIO()
            csv_format.writer(text, lineterminator="\n").writerows([header, *rows])
            write_text(csv, text.getvalue())
    _print_table(header, rows)


def _threads(ranked: "RankedSet") -> AbstractContextManager[None]:
    """Rank few pairs on one thread: with more, on a busy machine, it takes many times as long."""
    from gram.device import one_thread

    pairs = len(ranked.text_qd) * len(ranked.vectors_nkd)
    return one_thread() if pairs <= ONE_THREAD_PAIRS else nullcontext()


def _plain_names(ranked: "RankedSet") -> list[str]:
    """Name the usual scores: cosines, then volume and residual of the first two, three, ..."""
    from gram.config import LETTERS

    names = [f"cosine_{name}" for name in ranked.modalities]
    letters = "".join(LETTERS[name] for name in ranked.modalities)
    spans = [f"t{letters[:count]}" for count in range(2, len(letters) + 1)] or [f"t{letters}"]
    return [*names, *(f"{kind}:{span}" for kind in ("volume", "residual") for span in spans)]


def _shown(found: "RetrievalPlaces", *, captions: str, ties: str) -> list[str]:
    """Give gallery, recalls and the interval of the first recall, for each direction."""
    from gram.evaluation.intervals import recall_interval
    from gram.evaluation.retrieval import summarize_places

    to_item = found.text_to_item.best_of_clusters() if captions == "best" else found.text_to_item
    cells = [str(to_item.candidates)]
    both = [to_item, found.item_to_text]
    if ties == "won":
        both = [replace(one, places=one.places.ties_won) for one in both]
    for one in both:
        summary = summarize_places(one.places, recall_at=RECALL_AT)
        low, high = recall_interval(one, k=1, resamples=RESAMPLES)
        cells += [f"{summary[f'R@{k}']:.1f}" for k in RECALL_AT] + [f"{low:.1f} to {high:.1f}"]
    return cells


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that is Markdown, too."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    console = Console(soft_wrap=True)
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        console.print(f"| {' | '.join(cells)} |", markup=False, highlight=False)


@contextmanager
def _mistakes() -> Iterator[None]:
    """Say what the user can mend in one message, and end with status 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(
            str(error), style="red", markup=False, highlight=False
        )
        raise typer.Exit(2) from None
