"""Which settings a job gets, as one string."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gram.config import Config, merged
from gram.job_sections import clip_uses, embedded_split, job_settings, trained_splits

FOLDER = Path(__file__).parents[2] / "config"

TRAINING = ("seed", "model", "inputs", "loss", "optimizer")
WILDCARDS = {"run": "volume_tva", "benchmark": "toys", "dataset": "toys", "table": "demo"}


def read(*overlays: Mapping[str, Any]) -> Config:
    """Read the demo's settings, and overlays over them."""
    settings: dict[str, Any] = {}
    for name in ("config.yaml", "demo.yaml"):
        content = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        settings = merged(settings, content)
    for overlay in overlays:
        settings = merged(settings, overlay)
    return Config.model_validate(settings)


def turned(value: object) -> object:
    """Turn the order of the keys of nested mappings around."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return value


def test_pretraining_and_finetuning_are_both_called_training() -> None:
    pretrain = json.loads(job_settings(read(), ["pretrain"], WILDCARDS))
    finetune = json.loads(job_settings(read(), ["finetune"], WILDCARDS))
    assert (pretrain["training"]["steps"], finetune["training"]["steps"]) == (
        read().runs["volume_tva"].pretrain.steps,
        read().benchmarks["toys"].finetune.steps,  # type: ignore[union-attr]
    )


def test_the_wildcard_chooses_the_run() -> None:
    of_run = {
        run: job_settings(read(), ["model"], {"run": run}) for run in ("volume_tv", "volume_tva")
    }
    assert '"modalities": ["video"]' in of_run["volume_tv"]
    assert '"modalities": ["video", "audio"]' in of_run["volume_tva"]


def test_the_order_of_the_keys_does_not_matter() -> None:
    config = read()
    settings = config.model_dump(mode="json")
    turned_config = Config.model_validate(turned(settings))
    names = (*TRAINING, "pretrain")
    assert job_settings(turned_config, names, WILDCARDS) == job_settings(config, names, WILDCARDS)


def test_the_order_of_the_names_does_not_matter() -> None:
    one = job_settings(read(), ["model", "loss"], WILDCARDS)
    assert job_settings(read(), ["loss", "model"], WILDCARDS) == one


@pytest.mark.parametrize(
    "overlay",
    [
        {"defaults": {"loss": {"kind": "volume"}}},
        {"defaults": {"optimizer": {"beta1": 0.9, "clip_norm": 2.0}}},
        {"runs": {"volume_tva": {"seed": 0}}},
        {"runs": {"volume_tva": {"inputs": {"mel_bins": 64}}}},
    ],
    ids=str,
)
def test_a_default_that_is_written_out_changes_no_job(overlay: dict[str, Any]) -> None:
    names = (*TRAINING, "pretrain")
    assert job_settings(read(overlay), names, WILDCARDS) == job_settings(read(), names, WILDCARDS)


def test_all_settings_written_out_change_no_job() -> None:
    config = read()
    written = Config.model_validate(config.model_dump(mode="json"))
    names = (*TRAINING, "pretrain")
    assert job_settings(written, names, WILDCARDS) == job_settings(config, names, WILDCARDS)


def test_a_value_of_another_run_changes_no_job() -> None:
    overlay = {"runs": {"volume_tv": {"loss": {"temperature": 0.5}}}}
    names = (*TRAINING, "pretrain")
    assert job_settings(read(overlay), names, WILDCARDS) == job_settings(read(), names, WILDCARDS)


def test_a_value_of_the_run_changes_its_job() -> None:
    overlay = {"runs": {"volume_tva": {"loss": {"temperature": 0.5}}}}
    assert job_settings(read(overlay), ["loss"], WILDCARDS) != (
        job_settings(read(), ["loss"], WILDCARDS)
    )


def test_the_report_gets_the_tables_that_are_targets() -> None:
    settings = json.loads(job_settings(read(), ["tables"], {}))
    assert list(settings["tables"]) == ["demo"]


@pytest.mark.parametrize("name", ["dataset", "model", "finetune", "table"])
def test_a_wildcard_that_is_lacking_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        job_settings(read(), [name], {})


def test_a_name_of_no_section_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="modle"):
        job_settings(read(), ["modle"], WILDCARDS)


# --- what a checkpoint has seen ---------------------------------------------------------------


def seen(config: Config) -> tuple[str, ...]:
    return trained_splits(config, "volume_tva", "toys")


def test_a_finetuned_checkpoint_has_seen_both_splits() -> None:
    assert seen(read()) == ("pretrain", "train")


def test_without_finetuning_it_has_seen_the_pretraining_s() -> None:
    assert seen(read({"benchmarks": {"toys": {"finetune": None}}})) == ("pretrain",)


def test_a_split_of_another_data_set_does_not_count() -> None:
    other = {"kind": "generated", "clips": {"pretrain": 8}}
    overlay = {"datasets": {"others": other}, "defaults": {"pretrain_dataset": "others"}}
    assert seen(read(overlay)) == ("train",)


def test_a_checkpoint_has_seen_what_the_one_that_it_starts_from_saw() -> None:
    overlay = {
        "runs": {"earlier": {"pretrain": {"split": "val"}}, "volume_tva": {"start": "earlier"}}
    }
    assert seen(read(overlay)) == ("pretrain", "train", "val")


def test_one_split_that_was_trained_on_twice_is_named_once() -> None:
    assert seen(read({"benchmarks": {"toys": {"finetune": {"split": "pretrain"}}}})) == (
        "pretrain",
    )


# --- parts of sections ------------------------------------------------------------------------


def test_the_line_that_the_report_shows_by_default_may_be_written_out() -> None:
    row = read().showcase.model_dump()
    names = ("report", "tables", "showcase")
    written = read({"report": {"showcase": row}})
    assert job_settings(written, names, {}) == job_settings(read(), names, {})


def test_another_line_in_detail_changes_the_report_s_job() -> None:
    other = read({"report": {"showcase": {"run": "volume_tv", "benchmark": "toys"}}})
    names = ("report", "tables", "showcase")
    assert job_settings(other, names, {}) != job_settings(read(), names, {})


@pytest.mark.parametrize(
    ("overlay", "is_read"),
    [({"frames_per_clip": 5}, True), ({"short_side": 32}, True), ({"jpeg_quality": 70}, False)],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_depth_reads_what_pictures_there_are(overlay: dict[str, int], *, is_read: bool) -> None:
    settings = job_settings(read({"extraction": overlay}), ["pictures"], {})
    assert (settings != job_settings(read(), ["pictures"], {})) == is_read


@pytest.mark.parametrize(
    ("section", "overlay"),
    [
        ("speech", {"subtitles": {"speech": {"model": "openai/whisper-tiny"}}}),
        ("estimate", {"depth": {"estimate": {"revision": "v2"}}}),
    ],
)
def test_a_model_that_perceives_is_read_by_its_job(section: str, overlay: dict[str, Any]) -> None:
    assert job_settings(read(overlay), [section], {}) != job_settings(read(), [section], {})


def test_a_line_of_the_report_uses_what_it_and_those_before_it_learned_from() -> None:
    uses = [use for use in clip_uses(read()) if use.run in {"aligned", "volume_tv"}]
    assert [(use.run, use.purpose, use.split, use.missing) for use in uses] == [
        ("aligned", "pretraining", "pretrain", "mask"),
        ("volume_tv", "pretraining", "pretrain", "mask"),
        ("volume_tv", "finetuning", "train", "mask"),
        ("volume_tv", "evaluation", "test", "mask"),
    ]


def test_a_run_in_no_table_uses_nothing() -> None:
    assert "gram_tv" not in {use.run for use in clip_uses(read())}


def fitted_on_train(**protocol: object) -> dict[str, Any]:
    return {"benchmarks": {"toys": {"protocol": {"fit_split": "train", **protocol}}}}


def test_of_a_split_that_is_only_fitted_on_so_many_clips_are_embedded() -> None:
    config = read(fitted_on_train(fit_clips=9))
    assert embedded_split(config, "toys", "train").clips == 9
    assert embedded_split(config, "toys", "test").clips is None


def test_benchmarks_that_share_embeddings_share_the_most_clips_to_fit_on() -> None:
    other = {"dataset": "toys", "protocol": {"fit_split": "train", "fit_clips": 11}}
    finetune = read().benchmarks["toys"].finetune
    other["finetune"] = None if finetune is None else finetune.model_dump(mode="json")
    config = read(fitted_on_train(fit_clips=9), {"benchmarks": {"toys_all": other}})
    assert config.embedded_as("toys_all") == config.embedded_as("toys")
    assert embedded_split(config, "toys", "train").clips == 11


def test_a_split_that_another_benchmark_ranks_is_embedded_whole() -> None:
    finetune = read().benchmarks["toys"].finetune
    other = {
        "dataset": "toys",
        "protocol": {"split": "train"},
        "finetune": None if finetune is None else finetune.model_dump(mode="json"),
    }
    config = read(fitted_on_train(fit_clips=9), {"benchmarks": {"toys_train": other}})
    assert embedded_split(config, "toys", "train").clips is None
