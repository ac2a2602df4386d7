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
_PROBE = (
    "data/probe.py",
    "data/media_facts.py",
    "data/media_files.py",
    "data/ffmpeg.py",
)
_SOURCES = ("fetch", "data/media_files.py")
_FETCHED_CLIPS = ("fetch", "data/media_files.py", "data/ffmpeg.py", *_TABLES)
_SHARDS = ("data/shards.py", "data/shard_index.py", "data/tars.py", *_TABLES)
_MODEL = ("model.py", "heads.py", "encoders", "types.py")
_LOADER = (
    "data/loader.py",
    "data/clip_reader.py",
    "data/clip_index.py",
    "data/tars.py",
    "data/transforms.py",
    "data/vocabulary.py",
)
_VOLUME = ("volume.py", "volume_basis.py", "volume_nearest.py", "volume_pairs.py")
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
)
_RESULTS = ("evaluation/results.py",)
_SCORING = (
    "similarities.py",
    "evaluation/embeddings.py",
    "evaluation/scores.py",
    "evaluation/ranks.py",
    *_VOLUME,
)

STAGES: dict[str, Stage] = {
    "generate_clips": Stage(
        1, ("data/generate.py", "data/generated_world.py", "data/ffmpeg.py", "data/media_files.py")
    ),
    "fetch_source": Stage(1, _SOURCES),
    "place_annotation": Stage(1, _SOURCES),
    "fetch_clips": Stage(1, (*_FETCHED_CLIPS, "fetch/places.py")),
    "retry_fetch": Stage(1, _FETCHED_CLIPS),
    "make_clips": Stage(1, ("data/annotations.py", *_TABLES)),
    "probe_media": Stage(1, (*_PROBE, *_TABLES)),
    "extract_clips": Stage(
        1,
        (
            "data/extract.py",
            "data/decode.py",
            "data/decode_command.py",
            "data/ffmpeg.py",
            "data/tars.py",
            *_TABLES,
        ),
    ),
    "read_subtitles": Stage(1, ("data/subtitles.py", *_TABLES)),
    "read_depth": Stage(1, ("data/depth.py", "data/tars.py", *_PROBE, *_TABLES)),
    "pack_shards": Stage(1, _SHARDS),
    "index_shards": Stage(2, _SHARDS),
    "learn_vocabulary": Stage(1, ("data/vocabulary.py", "data/status.py")),
    "pretrain_model": Stage(2, _TRAINING),
    "finetune_model": Stage(2, _TRAINING),
    "embed_benchmark": Stage(
        2, ("evaluation/embed.py", "evaluation/embeddings.py", *_MODEL, *_LOADER)
    ),
    "score_retrieval": Stage(1, ("evaluation/retrieval.py", *_RESULTS, *_SCORING)),
    "make_table": Stage(1, ("evaluation/tables.py", *_RESULTS)),
    "make_report": Stage(
        1,
        (
            "evaluation/report.py",
            "evaluation/figures.py",
            "evaluation/origins.py",
            "evaluation/showcase.py",
            "evaluation/tables.py",
            "evaluation/templates",
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
