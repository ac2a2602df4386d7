"""What one run on one benchmark finds: volumes of right and wrong pairs.

Shape letters of this file: Q queries, N clips.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.scores import pairwise_score

VOLUME_QUERIES = 1000
"""Queries, evenly spaced, whose volumes with all clips are looked at."""


def spaced(count: int, *, total: int) -> NDArray[np.int64]:
    """Choose rows evenly spaced over all, first and last included; all if there are fewer.

    Example:
        >>> spaced(3, total=9).tolist()
        [0, 4, 8]
    """
    if count >= total:
        return np.arange(total)
    return np.linspace(0, total - 1, count).round().astype(np.int64)


def pair_volumes(
    embeddings: BenchmarkEmbeddings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the volumes of captions with their own clips, and with all other clips.

    Of more than ``VOLUME_QUERIES`` captions, so many are taken, evenly spaced.
    """
    chosen = spaced(VOLUME_QUERIES, total=len(embeddings.queries))
    volumes_qn = pairwise_score(
        "volume",
        embeddings.text_qd[torch.from_numpy(chosen)],
        vectors_mkd=embeddings.vectors_nkd,
        present_mk=embeddings.present_nk,
        modalities=embeddings.modalities,
    )
    group_q = embeddings.text_group_q.numpy()[chosen]
    is_right_qn = embeddings.clip_group_n.numpy() == group_q[:, None]
    volumes = volumes_qn.double().numpy()
    return volumes[is_right_qn], volumes[~is_right_qn]
