"""Figure: clips in the plane, by class, with silhouettes."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples
from torch.nn.functional import normalize

from gram.config import ProtocolConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings
from gram.evaluation.protocol import choose
from gram.figures.style import MARKERS, Words, color, new_figure, write_figure

CLASSES = 8
"""Classes that are drawn, those with the most clips."""

PERPLEXITY = 30.0

SEED = 0


def draw_classes(folder: Path, *, protocol: ProtocolConfig, svg: Path) -> None:
    """Draw clips by t-SNE of their mean vector, colored by class, with silhouettes.

    Silhouettes are of the vectors themselves, by cosine, and not of the picture: t-SNE pulls apart
    what is not.

    Args:
        folder: Embeddings of a classification.
        protocol: Which of its clips.
        svg: The figure; its CSV has a row a clip, with the silhouette of each modality too.

    Raises:
        ValueError: If texts are captions, or fewer than two classes have two clips.
    """
    embedded = choose(load_embeddings(folder), protocol).embeddings
    if embedded.task != "classification":
        raise ValueError(f"the texts of {folder} are captions; only a classification has classes")
    group_n = embedded.clip_group_n.numpy()
    chosen = _largest(group_n)
    if len(chosen) < 2:
        raise ValueError(
            f"{folder} has {len(chosen)} classes with two clips or more; two are needed to draw"
        )
    kept_n = np.isin(group_n, chosen)
    vectors = {name: vectors_nd[kept_n] for name, vectors_nd in _vectors(embedded).items()}
    mean_nd, group_n = vectors["mean"], group_n[kept_n]
    perplexity = min(PERPLEXITY, (len(mean_nd) - 1) / 3)
    method = TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=SEED, n_jobs=1)
    places_n2 = method.fit_transform(mean_nd)
    names = [embedded.queries[group] for group in group_n]
    clip_ids = np.array(embedded.clip_ids, dtype=object)[kept_n]
    numbers = pd.DataFrame(
        {"clip_id": clip_ids, "class": names, "x": places_n2[:, 0], "y": places_n2[:, 1]}
    )
    silhouettes = []
    for name, vectors_nd in vectors.items():
        has_n = ~np.isnan(vectors_nd).any(axis=1)
        numbers.loc[has_n, f"silhouette_{name}"] = _silhouettes(vectors_nd[has_n], group_n[has_n])
        silhouettes.append(f"{name} {numbers[f'silhouette_{name}'].mean():.3f}")
    with new_figure(height=5.2) as figure:
        axis = figure.subplots()
        for number, group in enumerate(chosen):
            drawn = numbers[group_n == group]
            axis.plot(
                drawn["x"],
                drawn["y"],
                linestyle="none",
                marker=MARKERS[number % len(MARKERS)],
                markersize=5,
                alpha=0.8,
                color=color(number),
                label=_short(embedded.queries[group]),
            )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_aspect("equal", adjustable="datalim")
        figure.legend(loc="outside lower left", ncols=3)
        caption = (
            f"{embedded.run} on {embedded.benchmark}: {len(numbers):,} clips of the {len(chosen)} "
            f"largest classes; t-SNE of mean vectors, perplexity {perplexity:g}. Mean silhouette "
            f"by cosine, of the vectors and not of the picture: {', '.join(silhouettes)}."
        )
        write_figure(figure, svg, words=Words("Clips by class", caption), numbers=numbers)


def _largest(group_n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Name the classes with the most clips, two at least, the largest first."""
    groups, counts = np.unique(group_n, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return groups[order[counts[order] > 1]][:CLASSES]


def _vectors(embedded: BenchmarkEmbeddings) -> dict[str, NDArray[np.float32]]:
    """Give the mean vector of each clip over what it has, and those of each modality; nan: none."""
    present_nk = embedded.present_nk
    total_nd = (embedded.vectors_nkd * present_nk.unsqueeze(2)).sum(dim=1)
    found = {"mean": normalize(total_nd, dim=-1).numpy()}
    for name in embedded.modalities:
        absent_n = ~embedded.present_n[name]
        vectors_nd = embedded.vectors_nd[name].clone()
        vectors_nd[absent_n] = float("nan")
        found[name.value] = vectors_nd.numpy()
    return found


def _silhouettes(
    vectors_nd: NDArray[np.float32], group_n: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give the silhouette of each clip by cosine; nan where fewer than two classes are left."""
    classes = len(np.unique(group_n))
    if not 2 <= classes < len(group_n):
        return np.full(len(group_n), np.nan)
    found: NDArray[np.float64] = silhouette_samples(vectors_nd, group_n, metric="cosine")
    return found


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
