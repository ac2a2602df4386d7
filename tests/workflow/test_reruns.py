"""Which jobs run again after a change: those that read what changed, and what follows from them."""

import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from gram.data.media_files import chunk_of

Planned = Callable[..., dict[str, int]]

TABLES = {"make_table": 1, "make_report": 1}
PAGE = {"show_retrieval": 1, **TABLES}
LENGTHS = {"draw_strata": 1, "draw_reranking": 1}
FIGURES = {"draw_volumes": 1, **LENGTHS}
OF_THE_LAST_LINE = {"draw_volumes": 1, "draw_strata": 1}  # the report shows it in detail
SCORING = {"score_retrieval": 2, **PAGE, "show_retrieval": 2, **LENGTHS}
EVALUATION = {"embed_benchmark": 2, "match_pairs": 1, **SCORING, **FIGURES}
TRAINING = {"pretrain_model": 2, "finetune_model": 1, **EVALUATION}
LEARNING = {"learn_vocabulary": 1, **TRAINING}
ONE_BENCHMARK = {"embed_benchmark": 1, "score_retrieval": 1, **PAGE}
RERANKED = {"match_pairs": 1, **ONE_BENCHMARK, **FIGURES}
INDEXED = {"index_shards": 2, "draw_account": 2, **LEARNING}
ONE_CHUNK = {
    "extract_clips": 1,
    "read_subtitles": 1,
    "read_depth": 1,
    "pack_shards": 1,
    "index_shards": 1,
    "draw_account": 1,
}

ROWS = [
    {"run": "cosine", "benchmark": "own", "score": "cosine_mean"},
    {"run": "volume", "benchmark": "dots"},
]

NEW_RUN = {
    "runs": {"audio": {"model": {"modalities": ["audio"]}, "evaluation": {"scores": ["volume"]}}},
    "tables": {"demo": {"rows": [*ROWS, {"run": "audio", "benchmark": "own"}]}},
}


SETTINGS: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("temperature", {"defaults": {"loss": {"temperature": 0.1}}}, TRAINING),
    (
        "temperature of a run that another one starts from",
        {"runs": {"cosine": {"loss": {"temperature": 0.1}}}},
        TRAINING,
    ),
    (
        "temperature of a run that none starts from",
        {"runs": {"volume": {"loss": {"temperature": 0.1}}}},
        {"pretrain_model": 1, "finetune_model": 1, **RERANKED},
    ),
    (
        "what a run starts from",
        {"runs": {"volume": {"start": None}}},
        {"pretrain_model": 1, "finetune_model": 1, **RERANKED},
    ),
    (
        "learning rate of one benchmark's finetuning",
        {"benchmarks": {"dots": {"finetune": {"learning_rate": 1.0e-5}}}},
        {"finetune_model": 1, **RERANKED},
    ),
    (
        "frames per clip",
        {"extraction": {"frames_per_clip": 5}},
        {"extract_clips": 4, "read_depth": 4, "pack_shards": 4, **INDEXED},
    ),
    (
        "size of a shard",
        {"shards": {"target_mib": 1.0}},
        {"pack_shards": 4, "extract_clips": 4, "read_depth": 4, **INDEXED},
    ),
    (
        "share of unusable clips",
        {"shards": {"max_skipped": 0.5}},
        {**INDEXED},
    ),
    ("size of the vocabulary", {"vocabulary": {"size": 200}}, LEARNING),
    ("batch of the embedding", {"defaults": {"embedding": {"batch_size": 3}}}, EVALUATION),
    ("frames of the embedding", {"defaults": {"embedding": {"frames": 3}}}, EVALUATION),
    (
        "gallery of a benchmark whose scores are re-ranked",
        {"benchmarks": {"dots": {"protocol": {"gallery": "all"}}}},
        {"match_pairs": 1, "score_retrieval": 1, **PAGE, **FIGURES},
    ),
    (
        "split that is fitted on",
        {"benchmarks": {"dots": {"protocol": {"fit_split": "train"}}}},
        {"embed_benchmark": 1, "match_pairs": 1, "score_retrieval": 1, **PAGE, **FIGURES},
    ),
    (
        "a line of a benchmark that differs in its protocol alone",
        {
            "benchmarks": {"own_all": {"dataset": "own", "protocol": {"captions": "all"}}},
            "tables": {"demo": {"rows": [*ROWS, {**ROWS[0], "benchmark": "own_all"}]}},
        },
        {"score_retrieval": 1, **PAGE, **OF_THE_LAST_LINE},
    ),
    (
        "candidates that are re-ranked",
        {"runs": {"volume": {"evaluation": {"rerank": 2}}}},
        {"match_pairs": 1, "score_retrieval": 1, **PAGE, **LENGTHS},
    ),
    ("cut-offs", {"defaults": {"evaluation": {"recall_at": [1, 2]}}}, SCORING),
    ("title of a table", {"tables": {"demo": {"title": "Another"}}}, TABLES),
    (
        "queries of the report",
        {"report": {"failures": 3}},
        {"show_retrieval": 2, "make_report": 1},
    ),
    (
        "what the report shows in detail, written out",
        {"report": {"showcase": {"run": "volume", "benchmark": "dots"}}},
        {},
    ),
    (
        "a line that the report shows in detail and no table has",
        {"report": {"showcase": {"run": "volume", "benchmark": "own"}}},
        {
            "embed_benchmark": 1,
            "match_pairs": 1,
            "score_retrieval": 1,
            "show_retrieval": 1,
            "make_report": 1,
            "draw_account": 1,
            **FIGURES,
        },
    ),
    (
        "a run added to the table",
        NEW_RUN,
        {
            "pretrain_model": 1,
            "embed_benchmark": 1,
            "score_retrieval": 1,
            "draw_account": 2,
            **OF_THE_LAST_LINE,
            **PAGE,
        },
    ),
    ("a run in no table", {"runs": {"other": {"evaluation": {"scores": ["volume"]}}}}, {}),
    ("a default written out", {"extraction": {"jpeg_quality": 85}}, {}),
    (
        "defaults of runs written out",
        {"defaults": {"optimizer": {"eps": 1e-6}}, "runs": {"volume": {"seed": 0}}},
        {},
    ),
]
"""What changes, as an overlay, and how many jobs of which rules run again."""

ALLOWANCES = {
    "nothing": (),
    "threads": ("--set-threads", "pretrain_model=2", "extract_clips=2"),
    "memory": ("--set-resources", "pretrain_model:mem_mb=1000"),
    "memory for kept clips": ("--set-resources", "pretrain_model:cache_mib=64"),
    "kept clips of the finetuning": ("--set-resources", "finetune_model:cache_mib=64"),
    "partial checkpoints": ("--set-resources", "pretrain_model:checkpoint_steps=7"),
    "partial checkpoints of the finetuning": (
        "--set-resources",
        "finetune_model:checkpoint_steps=7",
    ),
    "memory of a batch": ("--set-resources", "pretrain_model:micro_batch=2"),
    "activations": ("--set-resources", "finetune_model:checkpoint_activations=1"),
    "processes": ("--set-resources", "pretrain_model:processes=2", "pretrain_model:shard_model=1"),
    "compiling": ("--set-resources", "pretrain_model:compile=1"),
    "what is tracked": ("--set-resources", "pretrain_model:track_checkpoint=0"),
    "models that are registered": ("--set-resources", "finetune_model:register_model=1"),
    "time limit": ("--set-resources", "make_clips:runtime=7"),
    "cores": ("--cores", "1"),
}
"""Options of the command that allow jobs more or less."""


@pytest.fixture(scope="module")
def plans(finished_tree: Path, planned_rules: Planned) -> Mapping[str, dict[str, int]]:
    """Give the planned jobs of every case; two dry runs at a time, since each takes seconds."""
    cases: dict[str, tuple[tuple[str, ...], dict[str, Any]]]
    cases = {name: ((), overlay) for name, overlay, _ in SETTINGS}
    cases |= {name: (arguments, {}) for name, arguments in ALLOWANCES.items()}

    def plan(case: tuple[tuple[str, ...], dict[str, Any]]) -> dict[str, int]:
        return planned_rules(finished_tree, *case[0], overlay=case[1])

    with ThreadPoolExecutor(max_workers=2) as threads:
        return dict(zip(cases, threads.map(plan, cases.values()), strict=True))


@pytest.mark.parametrize(("case", "expected"), [(name, want) for name, _, want in SETTINGS])
def test_a_setting_reruns_only_what_reads_it(
    case: str, expected: dict[str, int], plans: Mapping[str, dict[str, int]]
) -> None:
    assert plans[case] == expected


@pytest.mark.parametrize("case", list(ALLOWANCES))
def test_what_a_job_may_use_reruns_nothing(case: str, plans: Mapping[str, dict[str, int]]) -> None:
    assert plans[case] == {}


def test_a_comment_in_the_settings_reruns_nothing(own_tree: Path, planned_rules: Planned) -> None:
    for path in (own_tree / "config/config.yaml", own_tree / "tests/workflow/tiny.yaml"):
        path.write_text("# One more comment.\n" + path.read_text(encoding="utf-8"))
    assert planned_rules(own_tree) == {}


def test_another_order_of_the_settings_reruns_nothing(
    own_tree: Path, planned_rules: Planned
) -> None:
    path = own_tree / "tests/workflow/tiny.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(settings, sort_keys=True), encoding="utf-8")
    assert planned_rules(own_tree) == {}


def test_the_quality_of_the_frames_changes_no_depth(
    finished_tree: Path, planned_rules: Planned
) -> None:
    # All the way to the shards it is read again all the same: its archive is not kept.
    overlay = {"extraction": {"jpeg_quality": 70}}
    assert planned_rules(finished_tree, "results/depth/own/0000.parquet", overlay=overlay) == {}


def test_a_touched_script_reruns_nothing(own_tree: Path, planned_rules: Planned) -> None:
    scripts = list((own_tree / "workflow/scripts").glob("*.py"))
    assert scripts
    for script in scripts:
        script.touch()
    assert planned_rules(own_tree) == {}


def test_a_raised_stage_version_reruns_the_stage(own_tree: Path, planned_rules: Planned) -> None:
    path = own_tree / "gram/stages.py"
    text = path.read_text(encoding="utf-8")
    raised = re.sub(r'("score_retrieval": )\d+', r"\g<1>99", text)
    assert raised != text
    path.write_text(raised, encoding="utf-8")
    read_no_scores = {"draw_reranking"}
    expected = {rule: jobs for rule, jobs in SCORING.items() if rule not in read_no_scores}
    assert planned_rules(own_tree) == expected


def test_a_changed_media_file_reruns_its_chunk(own_tree: Path, planned_rules: Planned) -> None:
    change_media(own_tree / "data/own/media")
    assert planned_rules(own_tree) == {"probe_media": 1, **ONE_CHUNK, **ONE_BENCHMARK}


def test_an_added_media_file_reruns_its_chunk(own_tree: Path, planned_rules: Planned) -> None:
    (own_tree / "data/own/media/added.mp4").write_bytes(b"")
    assert planned_rules(own_tree) == {"probe_media": 1, **ONE_CHUNK, **ONE_BENCHMARK}


def test_a_changed_generated_file_reruns_its_chunk(own_tree: Path, planned_rules: Planned) -> None:
    change_media(own_tree / "results/generated/dots/media")
    assert planned_rules(own_tree) == {"probe_media": 1, **ONE_CHUNK, **LEARNING}


def test_only_the_chunk_of_a_changed_media_file_is_probed(
    own_tree: Path, run_snakemake: Callable[..., Any]
) -> None:
    changed = change_media(own_tree / "data/own/media")
    wanted = f"results/probe/own/{chunk_of(changed.stem, 2):04d}.parquet"
    output = run_snakemake(own_tree, "--dry-run").stdout
    assert [path for path in probes(output) if path != wanted] == []


def test_a_changed_annotation_file_reruns_what_reads_it(
    own_tree: Path, planned_rules: Planned
) -> None:
    path = own_tree / "data/own/annotations.json"
    path.write_text(path.read_text(encoding="utf-8").replace(" a ", " one "), encoding="utf-8")
    every_chunk = {name: 2 * count for name, count in ONE_CHUNK.items()} | {
        "index_shards": 1,
        "draw_account": 1,
    }
    expected = {"make_clips": 1, "probe_media": 2, **every_chunk, **ONE_BENCHMARK}
    assert planned_rules(own_tree) == expected


def test_annotations_that_say_the_same_rerun_nothing_but_their_reading(
    own_tree: Path, planned_rules: Planned, run_snakemake: Callable[..., Any]
) -> None:
    path = own_tree / "data/own/annotations.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(records, indent=3), encoding="utf-8")
    done = run_snakemake(own_tree)
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout)) <= {
        "make_clips",
        "all",
    }
    assert planned_rules(own_tree) == {}


def test_clips_that_were_generated_anew_are_probed_once(
    own_tree: Path, planned_rules: Planned, run_snakemake: Callable[..., Any]
) -> None:
    longer = {"datasets": {"dots": {"seconds": 0.75}}}
    index = "results/shards/dots/index.parquet"
    assert run_snakemake(own_tree, index, overlay=longer).returncode == 0
    assert planned_rules(own_tree, index, overlay=longer) == {}


def change_media(folder: Path) -> Path:
    """Give one media file of a folder another time of change."""
    path = min(folder.glob("*.mp4"))
    later = path.stat().st_mtime_ns + 3600 * 10**9
    os.utime(path, ns=(later, later))
    return path


def probes(output: str) -> list[str]:
    """Read the outputs of all probe jobs from the output of a dry run."""
    paths = [word.strip(",") for word in output.split() if word.startswith("results/probe/")]
    assert paths
    return paths
