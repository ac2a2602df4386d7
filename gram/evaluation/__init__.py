"""Evaluation: embeddings of a benchmark, scores, ranks, recalls, tables, figures and the report."""
