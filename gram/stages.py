"""Version and source paths of every stage of the workflow.

Snakemake does not see changes in imported modules, so each rule carries its stage's version in
``params``. When code of a stage changes, a contract test asks whether its outputs change; if they
do, its version here is raised, and the stage runs again.
"""

from typing import NamedTuple


class Stage(NamedTuple):
    """One stage.

    Attributes:
        version: Raised when the stage's outputs change.
        sources: Files and folders below ``gram/`` that its outputs depend on.
    """

    version: int
    sources: tuple[str, ...]


_TABLES = ("data/tables.py", "data/status.py")
_FOLDERS = ("data/media_files.py", "data/listing.py")
_PROBE = (
    "data/probe.py",
    "data/media_facts.py",
    "data/ffmpeg.py",
    *_FOLDERS,
)
_SOURCES = ("fetch", *_FOLDERS)
_FETCHED_CLIPS = ("fetch", "data/ffmpeg.py", *_FOLDERS, *_TABLES)
_PERCEPTION = ("perception/models.py", "data/tars.py")
_SHARDS = (
    "data/shards.py",
    "data/shard_writer.py",
    "data/shard_index.py",
    "data/manifest.py",
    "data/subtitles.py",
    "data/tars.py",
    *_TABLES,
)
_MODEL = ("model.py", "heads.py", "encoders", "types.py")
_LOADER = (
    "data/loader.py",
    "data/order.py",
    "data/clip_dataset.py",
    "data/draws.py",
    "data/clip_reader.py",
    "data/clip_index.py",
    "data/manifest.py",
    "data/tars.py",
    "data/transforms.py",
    "data/vocabulary.py",
)
_VOLUME = (
    "volume.py",
    "volume_basis.py",
    "volume_nearest.py",
    "volume_pairs.py",
    "volume_tuples.py",
    "pairs.py",
)
_RANKING = (
    "evaluation/fitted.py",
    "evaluation/hubs.py",
    "evaluation/ranked.py",
    "evaluation/ranks.py",
    "evaluation/retrieval.py",
    "evaluation/scores.py",
    "evaluation/whitening.py",
)
"""What ranks texts and clips by a score."""
_TRAINING = (
    *_MODEL,
    *_LOADER,
    "training",
    "losses.py",
    "matching.py",
    *_VOLUME,
    "similarities.py",
    "collectives.py",
    "upstream.py",
    "device.py",
    *_RANKING,
)
_TABLE = (
    "evaluation/tables.py",
    "evaluation/table_notes.py",
    "evaluation/table_text.py",
    "evaluation/references.py",
)
_RESULTS = ("evaluation/results.py",)
_SCORING = (
    "evaluation/embeddings.py",
    "evaluation/protocol.py",
    "evaluation/ranked.py",
    "evaluation/ranks.py",
    "evaluation/scores.py",
    "similarities.py",
    *_VOLUME,
)
_FITTING = (*_SCORING, *_RANKING, *_RESULTS, "evaluation/fitting.py", "evaluation/rerank.py")

STAGES: dict[str, Stage] = {
    "generate_clips": Stage(
        1,
        (
            "data/generate.py",
            "data/generated_world.py",
            "data/ffmpeg.py",
            *_FOLDERS,
        ),
    ),
    "fetch_source": Stage(1, _SOURCES),
    "place_annotation": Stage(1, _SOURCES),
    "make_clips": Stage(
        2,
        (
            "data/annotations.py",
            "data/readers",
            *_FOLDERS,
            *_TABLES,
        ),
    ),
    "fetch_clips": Stage(1, (*_FETCHED_CLIPS, "data/readers/files.py", "data/readers/values.py")),
    "retry_fetch": Stage(1, _FETCHED_CLIPS),
    "probe_media": Stage(2, (*_PROBE, *_TABLES)),
    "extract_clips": Stage(
        2,
        (
            "data/extract.py",
            "data/decode.py",
            "data/decode_command.py",
            "data/clip_statistics.py",
            "data/ffmpeg.py",
            "data/tars.py",
            *_TABLES,
        ),
    ),
    "read_subtitles": Stage(2, ("data/subtitles.py", *_TABLES)),
    "recognize_speech": Stage(
        1, ("perception/speech.py", "data/subtitles.py", *_PERCEPTION, *_TABLES)
    ),
    "read_depth": Stage(2, ("data/depth.py", "data/tars.py", *_PROBE, *_TABLES)),
    "estimate_depth": Stage(
        1, ("perception/depth.py", "data/depth.py", *_PERCEPTION, *_PROBE, *_TABLES)
    ),
    "pack_shards": Stage(3, _SHARDS),
    "index_shards": Stage(4, _SHARDS),
    "learn_vocabulary": Stage(1, ("data/vocabulary.py", "data/status.py")),
    "import_weights": Stage(
        1, ("released.py", "weights.py", "upstream.py", "data/vocabulary.py", *_MODEL)
    ),
    "pretrain_model": Stage(3, _TRAINING),
    "finetune_model": Stage(3, _TRAINING),
    "embed_benchmark": Stage(
        4,
        (
            "evaluation/embed.py",
            "evaluation/embeddings.py",
            "evaluation/ranked.py",
            "evaluation/row_tensors.py",
            *_RESULTS,
            *_MODEL,
            *_LOADER,
        ),
    ),
    "match_pairs": Stage(
        1,
        (
            "evaluation/match_pairs.py",
            "evaluation/match_table.py",
            "evaluation/row_tensors.py",
            "data/vocabulary.py",
            *_FITTING,
            *_MODEL,
        ),
    ),
    "score_retrieval": Stage(
        3,
        (
            "evaluation/scoring.py",
            "evaluation/intervals.py",
            "evaluation/match_table.py",
            "evaluation/place_table.py",
            *_FITTING,
        ),
    ),
    "make_table": Stage(2, (*_TABLE, *_RESULTS)),
    "make_report": Stage(
        3,
        (
            "evaluation/account.py",
            "data/clip_index.py",
            "evaluation/report.py",
            "evaluation/figures.py",
            "evaluation/origins.py",
            "evaluation/showcase.py",
            *_TABLE,
            "evaluation/templates",
            "data/manifest.py",
            "data/tars.py",
            *_RESULTS,
            *_SCORING,
        ),
    ),
}


def stage_version(stage: str) -> int:
    """Give a stage's version, for the ``params`` of its rule.

    Raises:
        KeyError: If there is no such stage.
    """
    return STAGES[stage].version
