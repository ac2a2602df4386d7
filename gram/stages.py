"""Version of every stage of the workflow.

Snakemake does not see changes in imported modules, so each rule carries its stage's version in
``params``. When code of a stage changes, a contract test asks whether its outputs change; if they
do, its version here is raised, and the stage runs again.
"""

VERSIONS: dict[str, int] = {
    "generate_clips": 1,
    "fetch_source": 1,
    "place_annotation": 1,
    "make_clips": 3,
    "fetch_clips": 2,
    "retry_fetch": 1,
    "find_annotations": 1,
    "find_media": 1,
    "probe_media": 4,
    "extract_clips": 3,
    "read_subtitles": 2,
    "recognize_speech": 1,
    "read_depth": 2,
    "estimate_depth": 2,
    "pack_shards": 4,
    "index_shards": 5,
    "learn_vocabulary": 1,
    "import_weights": 1,
    "pretrain_model": 4,
    "finetune_model": 4,
    "embed_benchmark": 4,
    "match_pairs": 1,
    "score_retrieval": 3,
    "make_table": 4,
    "show_retrieval": 1,
    "make_report": 5,
    "draw_volumes": 1,
    "draw_checkpoints": 1,
    "draw_modalities": 1,
    "draw_reranking": 1,
    "draw_strata": 1,
    "draw_classes": 1,
    "draw_account": 1,
}
"""Raised when the stage's outputs change."""


def stage_version(stage: str) -> int:
    """Give a stage's version, for the ``params`` of its rule.

    Raises:
        KeyError: If there is no such stage.
    """
    return VERSIONS[stage]
