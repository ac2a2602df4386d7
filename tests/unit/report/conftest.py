"""The small benchmarks of the tests of evaluation."""

from tests.unit.evaluation.conftest import make_embeddings, pack_clips, write_scores_of

__all__ = ["make_embeddings", "pack_clips", "write_scores_of"]
