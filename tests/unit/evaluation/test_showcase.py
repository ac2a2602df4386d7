from collections.abc import Callable

import numpy as np
import torch

from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.showcase import pair_volumes, spaced
from gram.volume import gram_volume

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


def test_all_are_taken_where_there_are_fewer() -> None:
    assert spaced(12, total=3).tolist() == [0, 1, 2]


def test_volumes_of_pairs_are_those_of_their_vectors(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(captions=2)
    matched, unmatched = pair_volumes(embeddings)
    items_qkd = embeddings.vectors_nkd[embeddings.text_group_q]
    tuples_qkd = torch.cat([embeddings.text_qd.unsqueeze(1), items_qkd], dim=1)
    np.testing.assert_allclose(matched, gram_volume(tuples_qkd).numpy(), atol=1e-5)
    assert unmatched.shape == (24 * 11,)
