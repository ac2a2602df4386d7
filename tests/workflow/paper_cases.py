"""The table "What runs again" of ARCHITECTURE.md, line by line, for the paper's own settings.

A case names its line by how the line begins. Its numbers are of a tree in which the tables of
`STATES` are finished: of MSR-VTT and DiDeMo, finetuned, and of the released checkpoints, zero-shot.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gram.config import merged

Change = Callable[[Path], None]
Jobs = dict[str, int]

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))

FINETUNED = ("all", "didemo")
RELEASED = ("model_zoo",)
YOUCOOK2 = "results/shards/youcook2/index.parquet"

SPEECH = {"source": "speech", "speech": {"model": "models/whisper"}}
DEPTH = {"source": "estimate", "estimate": {"model": "models/depth"}}
PERCEIVED = {"subtitles": SPEECH, "depth": DEPTH}
FETCHED = {
    "datasets": {
        "msrvtt": {"fetch": {"sources": ["msrvtt_videos"]}},
        "youcook2": {"fetch": {"clips": "youcook2_clips"}},
    }
}


@dataclass(frozen=True, kw_only=True)
class State:
    """A tree in which something is finished.

    Attributes:
        targets: What was asked for.
        overlay: By which settings, beside those of config/config.yaml.
    """

    targets: tuple[str, ...]
    overlay: dict[str, Any]


STATES = {
    "paper": State(targets=(*FINETUNED, *RELEASED), overlay={}),
    "perceived": State(targets=RELEASED, overlay=PERCEIVED),
    "fetched": State(targets=(*RELEASED, YOUCOOK2), overlay=FETCHED),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that a user changes.

    Attributes:
        row: How the line of the table begins that tells of it.
        name: What is changed.
        jobs: How many jobs of which rules run again.
        overlay: Settings that change.
        change: What changes in the tree; it gets the tree's folder.
        arguments: Options of the command.
        state: The tree that it is changed in.
        targets: What is asked for.
    """

    row: str
    name: str
    jobs: Jobs
    overlay: dict[str, Any] = field(default_factory=dict)
    change: Change | None = None
    arguments: tuple[str, ...] = ()
    state: str = "paper"
    targets: tuple[str, ...] = FINETUNED


def _of_one(run: str, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - sections of a run
    return {"runs": {run: changed}}


def _rewrite(name: str, old: str, new: str) -> Change:
    """Give a change of a text in a file, which must hold it."""

    def change(tree: Path) -> None:
        text = (tree / name).read_text(encoding="utf-8")
        assert old in text
        (tree / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def _write(name: str, text: str) -> Change:
    """Give a change that writes a file."""

    def change(tree: Path) -> None:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")

    return change


def _say_the_same(tree: Path) -> None:
    _rewrite("config/config.yaml", "targets:", "# One more comment.\ntargets:")(tree)
    scripts = list((tree / "workflow/scripts").glob("*.py"))
    assert scripts
    for script in scripts:
        script.touch()


# Of the three runs of the paper's Table 2, whose pages and figures are reported; two of them on
# DiDeMo, too.
TABLES = {"make_table": 2, "make_report": 1}
SHOWN = {"show_retrieval": 3, "draw_reranking": 3, "draw_modalities": 1, "draw_strata": 1}
MATCHING = {"match_pairs": 5, "score_retrieval": 5, **SHOWN, **TABLES}
EVALUATION = {"embed_benchmark": 6, "draw_volumes": 1, **MATCHING}
TRAINING = {"pretrain_model": 3, "finetune_model": 5, **EVALUATION}

OF_SCORES_OF_TVA = {
    "score_retrieval": 2,
    **dict.fromkeys(("show_retrieval", "draw_reranking", "draw_modalities"), 1),
    **TABLES,
}
OF_DIDEMO = {"finetune_model": 2, "embed_benchmark": 2, "match_pairs": 2, "score_retrieval": 2}
OF_GRAM_TVA = {"pretrain_model": 1, **OF_DIDEMO, **OF_SCORES_OF_TVA}
OF_MSRVTT = {
    **{"match_pairs": 3, "score_retrieval": 3, "draw_volumes": 1},
    **{**SHOWN, "make_table": 1, "make_report": 1},
}

# 150 chunks of the pretraining set, 10 of each benchmark.
PACKED = {"pack_shards": 170, "index_shards": 3, "draw_account": 2, **TRAINING}
EXTRACTED = {"extract_clips": 170, "read_depth": 170, **PACKED}

# Of the two released checkpoints on MSR-VTT, both with scores that are fitted on other clips.
RELEASED_SCORING = {"score_retrieval": 2, "make_table": 1}
RELEASED_MATCHING = {"match_pairs": 2, **RELEASED_SCORING}
RELEASED_EVALUATION = {"embed_benchmark": 4, **RELEASED_MATCHING}
RELEASED_PACKED = {"pack_shards": 10, "index_shards": 1, **RELEASED_EVALUATION}
A_CHUNK = {"extract_clips": 1, "read_subtitles": 1, "read_depth": 1, "pack_shards": 1}
RELEASED_CHUNK = {**A_CHUNK, "index_shards": 1, **RELEASED_EVALUATION}
RELEASED_CHUNKS = {
    "probe_media": 10,
    **dict.fromkeys(A_CHUNK, 10),
    "index_shards": 1,
    **RELEASED_EVALUATION,
}
YOUCOOK2_CHUNKS = {
    **dict.fromkeys(("fetch_clips", "probe_media", *A_CHUNK), 15),
    "index_shards": 1,
}

FREE_OF_TRAINING = (
    *("mem_mb=9000", "processes=2", "cache_mib=64", "stage_shards=1", "checkpoint_steps=7"),
    *("spare_seconds=60", "micro_batch=2", "checkpoint_activations=1", "compile=1"),
    *("shard_model=1", "track_checkpoint=0", "register_model=1"),
)
NEW_LINE = {"run": "gram_tvasd", "benchmark": "msrvtt"}

CASES = (
    Case(
        row="a loss setting",
        name="temperature",
        overlay={"defaults": {"loss": {"temperature": 0.1}}},
        jobs=TRAINING,
    ),
    Case(
        row="a loss setting",
        name="temperature of one run",
        overlay=_of_one("gram_tva", loss={"temperature": 0.1}),
        jobs=OF_GRAM_TVA,
    ),
    Case(
        row="the finetuning of one benchmark",
        name="learning rate on DiDeMo",
        overlay={"benchmarks": {"didemo": {"finetune": {"learning_rate": 1.0e-5}}}},
        jobs={**OF_DIDEMO, "make_table": 1},
    ),
    Case(
        row="frames a clip",
        name="frames a clip",
        overlay={"extraction": {"frames_per_clip": 12}},
        jobs=EXTRACTED,
    ),
    Case(
        row="size of a shard",
        name="size of a shard",
        overlay={"shards": {"target_mib": 64.0}},
        jobs=EXTRACTED,
    ),
    Case(
        row="captions of a clip in training",
        name="captions of all runs",
        overlay={"defaults": {"inputs": {"captions": "random"}}},
        jobs={"import_weights": 3, **TRAINING},
    ),
    Case(
        row="captions of a clip in training",
        name="frames of one run",
        overlay=_of_one("gram_tva", inputs={"train_frames": 4}),
        jobs={"import_weights": 1, **OF_GRAM_TVA},
    ),
    Case(
        row="the recogniser",
        name="windows that are heard together",
        overlay={"subtitles": {"speech": {"windows": 3}}},
        state="perceived",
        targets=RELEASED,
        jobs={"recognize_speech": 10, **RELEASED_PACKED},
    ),
    Case(
        row="the recogniser",
        name="frames whose depth is estimated together",
        overlay={"depth": {"estimate": {"frames": 3}}},
        state="perceived",
        targets=RELEASED,
        jobs={"estimate_depth": 10, **RELEASED_PACKED},
    ),
    Case(
        row="the recogniser",
        name="a file of its model",
        change=_write("models/whisper/model.safetensors", "other weights"),
        state="perceived",
        targets=RELEASED,
        jobs={"recognize_speech": 10, **RELEASED_PACKED},
    ),
    Case(
        row="where subtitles or depth come from",
        name="a recogniser for the first time",
        overlay={"subtitles": SPEECH},
        change=_write("models/whisper/model.safetensors", ""),
        jobs={"recognize_speech": 170, "extract_clips": 170, "read_depth": 170, **PACKED},
    ),
    Case(
        row="where subtitles or depth come from",
        name="files beside the clips, after a model",
        overlay={"depth": {"source": "files"}},
        state="perceived",
        targets=RELEASED,
        jobs={"read_depth": 10, **RELEASED_PACKED},
    ),
    Case(
        row="frames taken in evaluation",
        name="frames taken in evaluation",
        overlay={"defaults": {"embedding": {"frames": 16}}},
        jobs=EVALUATION,
    ),
    Case(
        row="gallery or captions of a benchmark",
        name="gallery of MSR-VTT",
        overlay={"benchmarks": {"msrvtt": {"protocol": {"gallery": "all"}}}},
        jobs={**OF_MSRVTT, "draw_account": 1},
    ),
    Case(
        row="tokens kept for matching",
        name="their type",
        overlay={"defaults": {"embedding": {"condition": "float32"}}},
        targets=RELEASED,
        jobs=RELEASED_EVALUATION,
    ),
    Case(
        row="tokens kept for matching",
        name="clips that are fitted on",
        overlay={"benchmarks": {"msrvtt": {"protocol": {"fit_clips": 500}}}},
        jobs={"embed_benchmark": 1, **OF_MSRVTT},
    ),
    Case(
        row="recall cut-offs, scores of a run",
        name="cut-offs",
        overlay={"defaults": {"evaluation": {"recall_at": [1, 50]}}},
        targets=RELEASED,
        jobs=RELEASED_SCORING,
    ),
    Case(
        row="recall cut-offs, scores of a run",
        name="scores of one run",
        overlay=_of_one("gram_tva", evaluation={"scores": ["volume", "volume+rerank"]}),
        jobs=OF_SCORES_OF_TVA,
    ),
    Case(
        row="scores that are re-ranked",
        name="candidates",
        overlay={"defaults": {"evaluation": {"rerank": 20}}},
        jobs=MATCHING,
    ),
    Case(
        row="a run added to a table",
        name="with depth",
        overlay={
            "tables": {"finetuned": {"rows": [*PAPER["tables"]["finetuned"]["rows"], NEW_LINE]}}
        },
        jobs={
            **dict.fromkeys(("import_weights", *TRAINING), 1),
            **{"embed_benchmark": 2, "draw_account": 2},
        },
    ),
    Case(
        row="queries, candidates and pictures",
        name="queries that are shown",
        overlay={"report": {"failures": 7}},
        jobs={"show_retrieval": 3, "make_report": 1},
    ),
    Case(
        row="one media file",
        name="one that was not there",
        change=_write("data/msrvtt/videos/video9770.mp4", ""),
        targets=RELEASED,
        jobs={"probe_media": 1, **RELEASED_CHUNK},
    ),
    Case(
        row="an annotation file",
        name="of MSR-VTT",
        change=_write("data/msrvtt/descs_ret_test.json", "[]"),
        targets=RELEASED,
        jobs={"make_clips": 1, **RELEASED_CHUNKS},
    ),
    Case(
        row="an annotation file",
        name="of clips that are fetched",
        change=_write("data/youcook2/descs_cap_test.json", "[]"),
        overlay=FETCHED,
        state="fetched",
        targets=(YOUCOOK2,),
        jobs={"make_clips": 1, **YOUCOOK2_CHUNKS},
    ),
    Case(
        row="how clips are fetched",
        name="their height",
        overlay={"datasets": {"youcook2": {"fetch": {"max_height": 360}}}},
        state="fetched",
        targets=(YOUCOOK2,),
        jobs=YOUCOOK2_CHUNKS,
    ),
    Case(
        row="how clips are fetched",
        name="where an archive is",
        change=_rewrite("config/sources.yaml", "MSRVTT.zip\n", "MSRVTT.zip?again\n"),
        state="fetched",
        targets=RELEASED,
        jobs={"fetch_source": 1, **RELEASED_CHUNKS},
    ),
    Case(
        row="clips that were refused",
        name="of one chunk",
        change=_write("results/fetched/youcook2/0003.retries", "1"),
        state="fetched",
        targets=(YOUCOOK2,),
        jobs=dict.fromkeys(YOUCOOK2_CHUNKS, 1),
    ),
    Case(
        row="threads, memory of a job",
        name="all that jobs may use",
        arguments=(
            *("--set-threads", "pretrain_model=2", "finetune_model=2", "extract_clips=2"),
            *("--set-resources", "make_clips:runtime=7", "match_pairs:pairs=8"),
            *(f"pretrain_model:{one}" for one in FREE_OF_TRAINING),
            *(f"finetune_model:{one}" for one in FREE_OF_TRAINING),
        ),
        jobs={},
    ),
    Case(
        row="threads, memory of a job",
        name="a cluster instead of this machine",
        arguments=("--profile", "slurm"),
        jobs={},
    ),
    Case(
        row="threads, memory of a job",
        name="a default written out, a comment, the time of every script",
        overlay={"extraction": {"jpeg_quality": 85}, **_of_one("gram_tva", seed=0)},
        change=_say_the_same,
        jobs={},
    ),
    Case(
        row="code in `gram/`",
        name="code",
        change=_rewrite("gram/losses.py", "import torch\n", "import torch\n\nUNUSED = 1\n"),
        jobs={},
    ),
    Case(
        row="code in `gram/`",
        name="the version of a stage",
        change=_rewrite("gram/stages.py", '"score_retrieval": ', '"score_retrieval": 9'),
        targets=RELEASED,
        jobs=RELEASED_SCORING,
    ),
)


def settings_of(case: Case) -> dict[str, Any]:
    """Give all of a case's settings that are not those of config/config.yaml."""
    both: dict[str, Any] = merged(STATES[case.state].overlay, case.overlay)
    return both
